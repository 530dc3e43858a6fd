/** By the real engine: each is refused before the configuration is even read, and nothing is declared. */
import { cpSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { Server, ServerCredentials } from "@grpc/grpc-js";
import { expect } from "chai";
import * as pulumi from "@pulumi/pulumi";
import { refuseOldCli } from "../../components/cliVersion.ts";
import { expectError } from "../support/expectError.ts";
import { PulumiProject } from "../toolchain/pulumiProject.ts";

const root = dirname(dirname(import.meta.dirname));
const program = `export { default } from ${JSON.stringify(join(root, "index.ts"))};\n`;

function projectFile(options: string, main = "index.ts"): string {
    return `name: synapse-migration\nruntime: {name: nodejs, options: {${options}}}\nmain: ${main}\n`;
}

describe("what runs the program", function () {
    this.timeout(120_000);
    let project: PulumiProject;

    before(async () => {
        project = await PulumiProject.make({
            "Pulumi.yaml": projectFile('typescript: false, nodeargs: "--import tsx"'),
            "index.ts": program,
        });
    });
    after(() => project.remove());

    /** What an `up` says that must fail; the stack holds nothing but itself after it. */
    async function refused(): Promise<string> {
        const { exitCode, output } = await project.pulumi("up", "--yes", "--skip-preview");
        expect(exitCode, output).not.to.equal(0);
        const { output: urns } = await project.pulumi("stack", "--show-urns");
        const declared = [...urns.matchAll(/urn:pulumi:\S+/g)].map(([urn]) => urn.split("::").at(-1));
        expect(declared.filter((name) => name !== "synapse-migration-dev")).to.deep.equal([]);
        return output.slice(output.indexOf("Diagnostics:"));
    }

    it("may be this Node with these packages: the next thing refused is the empty configuration", async () => {
        expect(await refused())
            .to.include("SM-E0212")
            .and.not.to.match(/SM-E022\d/);
    });

    for (const [title, options] of [
        ["on", 'typescript: true, nodeargs: "--import tsx"'],
        ["not switched off", 'nodeargs: "--import tsx"'],
    ] as const) {
        it(`is refused with SM-E0225 when Pulumi's TypeScript mode is ${title}`, async () => {
            await project.write("Pulumi.yaml", projectFile(options));
            const output = await refused();
            expect(output).to.match(/SM-E0225[\s\S]*expected typescript: false[\s\S]*fix +write `typescript: false`/);
            expect(output).to.include("nothing was changed").and.not.to.include("SM-E0212");
        });
    }

    it("is refused with SM-E0224 when Node is too old, whatever else is wrong", async () => {
        await project.write(
            "older.mjs",
            'Object.defineProperty(process, "versions", { value: { ...process.versions, node: "20.18.9" } });',
        );
        await project.write(
            "Pulumi.yaml",
            projectFile('typescript: true, nodeargs: "--import tsx --import ./older.mjs"'),
        );
        const output = await refused();
        expect(output).to.match(/SM-E0224[\s\S]*found +Node 20\.18\.9\n +expected Node 20\.19\.0 or newer/);
        expect(output).to.include("SM-E0225").and.not.to.include("SM-E0212");
    });

    it("is refused with SM-E0223 when a package of Pulumi's is another than the pinned one", async () => {
        const copy = join(project.directory, "copy");
        copyProgram(copy);
        await project.write("Pulumi.yaml", projectFile('typescript: false, nodeargs: "--import tsx"', "copy/index.ts"));
        expect(await refused(), "the copy is as good")
            .to.include("SM-E0212")
            .and.not.to.include("SM-E0223");

        const manifest = join(copy, "node_modules/@pulumi/command/package.json");
        writeFileSync(manifest, readFileSync(manifest, "utf8").replace('"version": "1.2.1"', '"version": "v4.5.0"'));
        expect(await refused()).to.match(/SM-E0223[\s\S]*found +@pulumi\/command v4\.5\.0\n +expected exactly 1\.2\.1/);
    });

    it("is refused with SM-E0226 when the CLI is too old", async () => {
        const [version, errors] = ["cliVersion", "readableError"].map((name) =>
            JSON.stringify(join(root, "components", `${name}.ts`)),
        );
        await project.write("Pulumi.yaml", projectFile('typescript: false, nodeargs: "--import tsx"', "cli.ts"));
        await project.write(
            "cli.ts",
            `import { refuseOldCli } from ${version ?? ""};
            import { readableError } from ${errors ?? ""};
            export default () => refuseOldCli(">=3.999.0").catch((error) => { throw readableError(error); });`,
        );
        expect(await refused()).to.match(
            /SM-E0226[\s\S]*found +Pulumi CLI version 3\.\d+\.\d+ does not satisfy[\s\S]*fix +`npm run toolchain`/,
        );
    });
});

describe("an engine that is asked for its version", () => {
    it("is not there in tests, which is no error", async () => {
        await refuseOldCli(">=99.0.0");
    });

    it("is refused with SM-E0226 when it is so old that it cannot be asked", async () => {
        // A server that knows no method: that of the question came with Pulumi 3.217.
        const engine = new Server();
        const port = await promisify(engine.bindAsync.bind(engine))("127.0.0.1:0", ServerCredentials.createInsecure());
        pulumi.runtime.resetOptions("project", "stack", 1, `127.0.0.1:${port}`, "", false, "organization");
        try {
            const { detail } = await expectError("SM-E0226", () => refuseOldCli());
            expect(detail.found).to.include("does not support");
            expect(detail.expected).to.equal(">=3.250.0 <4.0.0");
        } finally {
            pulumi.runtime.disconnectSync();
            pulumi.runtime.resetOptions("project", "stack", 1, "", "", false, "organization");
            engine.forceShutdown();
        }
    });
});

/** The program with its packages; that of the command provider is a copy that may be changed. */
function copyProgram(directory: string): void {
    for (const name of ["index.ts", "package.json", "components", "contract", "engine", "toolchain"])
        cpSync(join(root, name), join(directory, name), { recursive: true });
    const [from, to] = [join(root, "node_modules"), join(directory, "node_modules")];
    mkdirSync(join(to, "@pulumi"), { recursive: true });
    for (const name of readdirSync(from)) if (name !== "@pulumi") symlinkSync(join(from, name), join(to, name));
    for (const name of readdirSync(join(from, "@pulumi"))) {
        const path = join("@pulumi", name);
        if (name === "command") cpSync(join(from, path), join(to, path), { recursive: true });
        else symlinkSync(join(from, path), join(to, path));
    }
}
