import {
    chmod,
    chown,
    lstat,
    mkdir,
    mkdtemp,
    readdir,
    readFile,
    rename,
    rm,
    stat,
    symlink,
    writeFile,
} from "node:fs/promises";
import { fork } from "node:child_process";
import { once } from "node:events";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import { namedUser } from "../../../engine/machines/namedUser.ts";
import { serviceUser } from "../../../engine/machines/serviceUser.ts";
import { makeTargetDirectory, releaseTargetDirectory } from "../../../engine/machines/targetDirectory.ts";
import { targetUser } from "../../../engine/machines/targetUser.ts";
import { expectError } from "../../support/expectError.ts";

const maker = fileURLToPath(new URL("directoryMaker.ts", import.meta.url));
const asRoot = process.geteuid?.() === 0;
/** Users that every system has and that nothing here runs as. */
const [daemon, bin] = [1, 2];

describe("the directory of a target", function () {
    this.timeout(60_000);
    let above = "";
    let directory = "";
    beforeEach(async () => {
        above = await mkdtemp(join(tmpdir(), "target-directory-"));
        await chmod(above, 0o755);
        directory = join(above, "srv", "target");
    });
    afterEach(() => rm(above, { recursive: true }));

    const modeOf = async (path: string): Promise<number> => (await stat(path)).mode & 0o7777;
    const passable = asRoot ? 0o711 : 0o700;

    it("is the same however many processes make it at once, whatever their umask", async () => {
        const makers = Array.from({ length: 4 }, () =>
            fork(maker, { execArgv: ["--import", "tsx"], stdio: "inherit" }),
        );
        try {
            await Promise.all(makers.map((child) => once(child, "message")));
            for (let round = 0; round < 40; round++) {
                const place = join(above, `round-${round}`, "target");
                const answers = makers.map(async (child, index) => {
                    const answer = once(child, "message");
                    child.send({ directory: place, umask: [0o022, 0o077, 0, 0o027][index] });
                    return String((await answer)[0]);
                });
                for (const answer of await Promise.all(answers)) expect(answer).to.equal(`made ${serviceUser()?.uid}`);
                for (const path of [place, join(above, `round-${round}`)]) {
                    expect(await modeOf(path)).to.equal(passable);
                    expect((await stat(path)).uid).to.equal(process.geteuid?.());
                }
                expect(await readdir(place)).to.have.members([
                    ".target-made",
                    ...(asRoot ? [".target-user.json"] : []),
                ]);
            }
        } finally {
            for (const child of makers) child.disconnect();
            await Promise.all(makers.map((child) => once(child, "exit")));
        }
    });

    it("goes when nothing else is in it and we made it; one that was there stays as it was", async () => {
        await makeTargetDirectory(directory);
        await writeFile(join(directory, "other"), "");
        await releaseTargetDirectory(directory);
        expect(await readdir(directory))
            .to.include("other")
            .and.to.include(".target-made");
        await rm(join(directory, "other"));
        await releaseTargetDirectory(directory);
        expect(await readdir(join(above, "srv"))).to.deep.equal([]);

        await mkdir(directory);
        await chmod(directory, 0o755);
        await makeTargetDirectory(directory);
        await releaseTargetDirectory(directory);
        expect(await readdir(directory)).to.deep.equal([]);
        expect(await modeOf(directory)).to.equal(0o755);
    });

    (asRoot ? describe : describe.skip)("as root", () => {
        const user = { uid: serviceUser()?.uid ?? -1, gid: serviceUser()?.gid ?? -1 };

        it("is taken back from the service user, and refused with SM-E1207 when it is another user's", async () => {
            await mkdir(join(above, "srv"));
            await mkdir(directory, { mode: 0o700 });
            await chown(directory, user.uid, user.gid);
            await makeTargetDirectory(directory);
            expect(await stat(directory)).to.include({ uid: 0 });
            expect(await modeOf(directory)).to.equal(0o711);

            await chown(directory, bin, bin);
            const error = await expectError("SM-E1207", () => makeTargetDirectory(directory));
            expect(error.detail).to.include({ where: directory, found: `it belongs to user id ${bin}` });
            expect(await stat(directory)).to.include({ uid: bin });
        });

        it("is refused with SM-E1207 where it is a link, or lies where the service user could exchange it", async () => {
            const elsewhere = join(above, "elsewhere");
            await mkdir(elsewhere, { mode: 0o700 });
            await mkdir(join(above, "srv"));
            await symlink(elsewhere, directory);
            await expectError("SM-E1207", () => makeTargetDirectory(directory));
            expect(await readdir(elsewhere)).to.deep.equal([]);
            expect(await modeOf(elsewhere)).to.equal(0o700);

            await rm(directory);
            await chown(join(above, "srv"), user.uid, user.gid);
            const error = await expectError("SM-E1207", () => makeTargetDirectory(directory));
            expect(error.detail.found).to.contain("can exchange target in it");
            expect(await readdir(join(above, "srv"))).to.deep.equal([]);
            await chown(join(above, "srv"), 0, 0);
            await chmod(join(above, "srv"), 0o777);
            await expectError("SM-E1207", () => makeTargetDirectory(directory));
            await chmod(join(above, "srv"), 0o1777);
            await makeTargetDirectory(directory);
        });

        it("keeps the user it was made for, whatever is configured later", async () => {
            await makeTargetDirectory(directory, { user: "daemon" });
            const said: string[] = [];
            const again = await makeTargetDirectory(directory, { user: "bin", say: (line) => said.push(line) });
            expect(again).to.deep.include({ uid: daemon });
            expect(await targetUser(directory)).to.deep.include({ uid: daemon });
            expect(said.join()).to.contain("the target goes on as daemon");
            expect(await lstat(join(directory, ".target-user.json"))).to.include({ uid: 0 });
        });

        it("believes no record of the user that others could have written", async () => {
            await makeTargetDirectory(directory, { user: "daemon" });
            const record = join(directory, ".target-user.json");
            const forged = (await readFile(record, "utf8")).replaceAll(`${daemon}`, "0");
            await writeFile(join(above, "forged"), forged);
            await chown(join(above, "forged"), daemon, daemon);
            await rename(join(above, "forged"), record);
            await expectError("SM-E1207", () => targetUser(directory));
        });

        it("goes on as postgres where an earlier version made it so, which is said", async function () {
            const postgres = await namedUser("postgres");
            if (postgres === undefined) return void this.skip();
            await mkdir(directory, { recursive: true });
            await writeFile(join(directory, ".secrets.files.json"), "{}");
            await chown(directory, postgres.uid, postgres.gid);
            const said: string[] = [];
            expect(await makeTargetDirectory(directory, { say: (line) => said.push(line) })).to.deep.equal(postgres);
            expect(said.join()).to.contain("SM-W1209").and.to.contain("run as postgres");
        });

        it("of an earlier version keeps the user that it was given to", async () => {
            const traces = [".configure.files.json", "gateway/gateway.json", "media_store/.synapse-migration.json"];
            for (const [index, trace] of traces.entries()) {
                const target = join(above, `earlier-${index}`);
                const given = join(target, trace, "..");
                await mkdir(given, { recursive: true });
                await writeFile(join(target, trace), "{}");
                expect(await targetUser(target), trace).to.deep.equal(user);
                await chown(given, daemon, daemon);
                expect(await targetUser(target), trace).to.deep.equal({ uid: daemon, gid: daemon });
                await makeTargetDirectory(target);
                expect(await stat(target)).to.include({ uid: 0 });
                expect(await targetUser(target), trace).to.deep.equal({ uid: daemon, gid: daemon });
            }
        });
    });
});
