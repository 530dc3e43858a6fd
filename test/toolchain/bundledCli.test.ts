import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { execa } from "execa";

const root = join(import.meta.dirname, "..", "..");

describe("the command line in one piece", function () {
    this.timeout(60_000);
    let directory: string;
    const cache = (): string => join(directory, "node_modules/.cache/synapse-migrate");
    const bundles = async (): Promise<string[]> =>
        (await readdir(cache()).catch(() => [])).filter((name) => name.startsWith("bundle-"));
    const source = (name: string, text: string): Promise<void> => writeFile(join(directory, name), text);
    /** What the command says, and the lines of an error that nobody expected. */
    const said = async (...args: string[]): Promise<string> => {
        const { stdout, stderr } = await execa(process.execPath, ["steps/synapse-migrate.mjs", ...args], {
            cwd: directory,
            reject: false,
            timeout: 30_000,
        });
        return `${stdout}${stderr}`;
    };

    beforeEach(async () => {
        directory = await mkdtemp(join(tmpdir(), "synapse-migration-bundle-"));
        for (const folder of ["toolchain", "steps", "engine", "node_modules"]) await mkdir(join(directory, folder));
        for (const name of ["toolchain/bundledCli.mjs", "toolchain/nodeGuard.mjs", "steps/synapse-migrate.mjs"])
            await cp(join(root, name), join(directory, name));
        for (const name of ["esbuild", "tsx", "commander"])
            await symlink(join(root, "node_modules", name), join(directory, "node_modules", name));
        await source("node_modules/.package-lock.json", "{}");
        await source("package.json", JSON.stringify({ type: "module", engines: { node: ">=20.0.0" } }));
        await source(
            "steps/cli.ts",
            `import { Command } from "commander";
            import { place } from "../engine/place.ts";
            const name: string = new Command("made").name();
            console.log(name, place);
            if (process.argv[2] === "fail") await import("../engine/fail.ts");`,
        );
        await source("engine/place.ts", "export const place = [import.meta.url, import.meta.dirname].join(' ');");
        await source("engine/fail.ts", "\n\nthrow new Error('as was asked');");
    });
    afterEach(() => rm(directory, { recursive: true, force: true }));

    const placeIn = (place: string): string => `made file://${place}/engine/place.ts ${place}/engine`;

    it("is made at the first call and used by the next; a file in it still finds what lies beside its source", async () => {
        expect(await said()).to.equal(placeIn(directory));
        const made = await bundles();
        expect(made).to.have.length(1);
        expect(await said()).to.equal(placeIn(directory));
        expect(await bundles()).to.deep.equal(made);
    });

    it("is made anew once a source is another or packages were installed, and a process that has begun keeps what it has", async () => {
        await said();
        await source("engine/place.ts", "export const place = 'elsewhere';");
        expect(await said()).to.equal("made elsewhere");
        expect(await bundles()).to.have.length(2);
        await source("node_modules/.package-lock.json", "{ }");
        await said();
        expect(await bundles()).to.have.length(3);
        for (const name of await bundles()) await utimes(join(cache(), name), 0, 0);
        await source("engine/place.ts", "export const place = 'elsewhere again';");
        expect(await said()).to.equal("made elsewhere again");
        expect(await bundles(), "those of days ago").to.have.length(1);
    });

    it("is made anew where a source was renamed, and where its record was cut short", async () => {
        await said();
        await source("engine/where.ts", "export const place = 'renamed';");
        await rm(join(directory, "engine/place.ts"));
        const cli = await readFile(join(directory, "steps/cli.ts"), "utf8");
        await source("steps/cli.ts", cli.replace("place.ts", "where.ts"));
        expect(await said()).to.equal("made renamed");
        expect(await bundles()).to.have.length(2);
        await source("node_modules/.cache/synapse-migrate/current.json", '{"root": "/');
        expect(await said()).to.equal("made renamed");
        expect(await bundles()).to.have.length(3);
    });

    it("is not taken from the place that it was copied from", async () => {
        await said();
        const copy = join(directory, "copy");
        for (const name of ["toolchain", "steps", "engine", "node_modules", "package.json"])
            await cp(join(directory, name), join(copy, name), { recursive: true, preserveTimestamps: true });
        const { stdout } = await execa(process.execPath, ["steps/synapse-migrate.mjs"], { cwd: copy });
        expect(stdout).to.equal(placeIn(copy));
    });

    it("is one of those that were made, when many are called at once", async () => {
        expect(new Set(await Promise.all(Array.from({ length: 4 }, () => said())))).to.have.all.keys(
            placeIn(directory),
        );
        expect(await said()).to.equal(placeIn(directory));
    });

    it("tells an error that nobody expected with the line of the source", async () => {
        expect(await said("fail")).to.match(/as was asked[^]*engine\/fail\.ts:3/);
    });

    it("is done without where it cannot be made", async () => {
        await source("node_modules/.cache", "no directory");
        expect(await said()).to.equal(placeIn(directory));
        await rm(join(directory, "node_modules/.cache"));
        await source("engine/place.ts", "export const place = ;");
        expect(await said(), "what is wrong with a source is said by whoever runs it").to.match(/place\.ts/);
    });
});
