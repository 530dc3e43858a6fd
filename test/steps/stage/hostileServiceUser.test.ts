import { spawn, type ChildProcess } from "node:child_process";
import { chmod, chown, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { gatewayFiles, readGatewayState } from "../../../engine/gateway/state.ts";
import { thisMachine } from "../../../engine/machines/local/localMachine.ts";
import { readProcess } from "../../../engine/machines/procfs.ts";
import { serviceUser } from "../../../engine/machines/serviceUser.ts";
import { placeFile } from "../../../engine/media/copyFile.ts";
import { prepareStore, removeStore, requirePrepared } from "../../../engine/media/targetStore.ts";
import { namedProcess } from "../../../engine/services/pidFile.ts";
import { removeTargetFiles, writeTargetFiles } from "../../../engine/synapse/config/targetFiles.ts";
import { gateway } from "../../../steps/stage/gateway.ts";
import { expectError } from "../../support/expectError.ts";
import { testRun } from "../../support/stepRun.ts";
import { fakeHomeserver, type FakeHomeserver } from "../../engine/gateway/fakeHomeserver.ts";

const asRoot = process.geteuid?.() === 0;
const user = serviceUser() ?? { uid: -1, gid: -1 };

/** Everything that the user of the target's servers can do is done here by its rights alone: files that it owns, links, names. */
(asRoot ? describe : describe.skip)("a service user that turns against root", function () {
    this.timeout(60_000);
    let above = "";
    let target = "";
    let elsewhere = "";
    let homeserver: FakeHomeserver;
    const children: ChildProcess[] = [];
    before(async () => {
        homeserver = await fakeHomeserver();
    });
    after(() => homeserver.close());
    beforeEach(async () => {
        above = await mkdtemp(join(tmpdir(), "hostile-"));
        await chmod(above, 0o755);
        [target, elsewhere] = [join(above, "target"), join(above, "elsewhere")];
        await mkdir(elsewhere, { mode: 0o700 });
        await writeFile(join(elsewhere, "precious"), "precious", { mode: 0o600 });
    });
    afterEach(async () => {
        for (const child of children.splice(0)) child.kill("SIGKILL");
        await rm(above, { recursive: true });
    });

    const untouched = async (): Promise<void> => {
        expect(await readdir(elsewhere)).to.deep.equal(["precious"]);
        expect(await readFile(join(elsewhere, "precious"), "utf8")).to.equal("precious");
        for (const path of [elsewhere, join(elsewhere, "precious")])
            expect(await stat(path)).to.include({ uid: 0, gid: 0 });
        expect((await stat(elsewhere)).mode & 0o777).to.equal(0o700);
    };
    /** As an earlier version left a target: its directory is the user's. */
    const earlierTarget = async (): Promise<void> => {
        await mkdir(target, { mode: 0o700 });
        await writeFile(join(target, ".configure.files.json"), "{}", { mode: 0o600 });
        await chown(target, user.uid, user.gid);
    };
    const plant = async (path: string, content: string): Promise<void> => {
        await rm(path, { recursive: true, force: true });
        await writeFile(path, content, { mode: 0o600 });
        await chown(path, user.uid, user.gid);
    };
    const specOf = () => ({
        run: { id: "r1", directory: above },
        directory: join(target, "gateway"),
        listener: { bindAddress: "127.0.0.1", port: 0 },
        upstream: homeserver.url,
        retryAfterSeconds: 30,
    });
    const ofRoot = (): number => {
        const child = spawn("sleep", ["60"], { stdio: "ignore" });
        children.push(child);
        return child.pid ?? 0;
    };
    const pidLine = async (pid: number): Promise<string> =>
        `${pid} ${(await readProcess(thisMachine, pid))?.startTicks ?? ""}\n`;

    it("has root make, give away and remove nothing where it links the gateway's directory to", async () => {
        await earlierTarget();
        await symlink(elsewhere, join(target, "gateway"));
        await expectError("SM-E1207", () => gateway.act(specOf(), testRun("r1", above)));
        await expectError("SM-E1207", async () => gateway.undo?.(specOf(), testRun("r1", above)));
        await untouched();
    });

    it("owns the gateway's files of an earlier version: they are taken back, believed where they do no harm, and name nobody to signal", async () => {
        await earlierTarget();
        const { directory } = specOf();
        const files = gatewayFiles(directory);
        await mkdir(directory, { mode: 0o700 });
        const victim = ofRoot();
        await plant(files.pid, await pidLine(victim));
        await plant(files.state, `{"state":"open","run":"r1"}\n`);
        await plant(
            files.config,
            JSON.stringify({
                run: "r2",
                listener: { bindAddress: "::", port: 1 },
                upstream: "http://x/",
                retryAfterSeconds: 1,
                user: { uid: 0, gid: 0 },
            }),
        );
        await chown(directory, user.uid, user.gid);
        const { url } = await gateway.act(specOf(), testRun("r1", above));
        expect(url).to.match(/^http:\/\/127\.0\.0\.1:/);
        expect(await stat(directory)).to.include({ uid: 0, gid: user.gid });
        for (const file of [files.pid, files.state, files.config]) expect(await stat(file)).to.include({ uid: 0 });
        expect((await readGatewayState(files.state))?.state).to.equal("open");
        expect((await fetch(new URL("/_matrix/client/versions", url))).status).to.equal(200);

        await plant(files.pid, await pidLine(victim));
        await gateway.undo?.(specOf(), testRun("r1", above));
        expect(await readdir(target)).to.deep.equal([".configure.files.json"]);
        await expectRefused(url);
        expect(await readProcess(thisMachine, victim)).to.not.equal(undefined);
    });

    it("has root copy no media and remove none through a link in the store, and empty no file for the probe", async () => {
        const store = join(target, "media_store");
        await mkdir(target);
        await symlink(join(elsewhere, "precious"), join(above, "link"));
        await mkdir(store);
        await chown(store, user.uid, user.gid);
        await prepareStore(store, "r1", user);
        await symlink(join(elsewhere, "precious"), join(store, ".Synapse-Migration-Case"));
        await prepareStore(store, "r1", user);
        await symlink(elsewhere, join(store, "local_content"));
        const fill = () => Promise.resolve({ size: 0, sha256: "" });
        await expectError("SM-E1207", () => placeFile({ root: store, path: "local_content/aa/b" }, user, fill));
        await untouched();

        await mkdir(join(store, "remote_content"), { mode: 0o700 });
        await placeFile({ root: store, path: "remote_content/aa/b" }, user, fill);
        expect(await stat(join(store, "remote_content/aa/b"))).to.include({ uid: user.uid });
        expect(await stat(join(store, "remote_content/aa"))).to.include({ uid: user.uid });
        expect(await removeStore(store, "r1")).to.equal(true);
        await untouched();
    });

    it("forges no record of whose store it is", async () => {
        const store = join(target, "media_store");
        await mkdir(target);
        await prepareStore(store, "r1", user);
        await plant(join(store, ".synapse-migration.json"), `{"run":"r2","made":true}\n`);
        await expectError("SM-E0963", () => requirePrepared(store, "r2"));
        expect(await removeStore(store, "r2")).to.equal(false);
    });

    it("can put nothing in the place of files it reads, and its record of files to remove is not believed", async () => {
        const contents = new Map([[join(target, "templates", "a.html"), "a"]]);
        await earlierTarget();
        await rm(join(target, ".configure.files.json"));
        await writeTargetFiles(target, "configure", "r1", { contents, ownDirectories: [join(target, "logs")] });
        for (const path of [target, join(target, "templates")]) expect(await stat(path)).to.include({ uid: 0 });
        expect((await stat(join(target, "templates"))).mode & 0o022).to.equal(0);
        for (const path of [join(target, "templates", "a.html"), join(target, "logs")])
            expect(await stat(path)).to.include({ uid: user.uid });

        const record = join(target, ".configure.files.json");
        const mine = await readFile(record, "utf8");
        const files = [join(elsewhere, "precious")];
        await plant(record, JSON.stringify({ run: "r1", files, directories: [] }));
        await expectError("SM-E1207", () => removeTargetFiles(target, "configure", "r1"));
        for (const named of [files, [`${target}/../elsewhere/precious`]]) {
            await rm(record);
            await writeFile(record, JSON.stringify({ run: "r1", files: named, directories: [] }), { mode: 0o600 });
            await expectError("SM-E1207", () => removeTargetFiles(target, "configure", "r1"));
        }
        await writeFile(record, mine.replaceAll("a.html", "precious"), { mode: 0o600 });
        await rm(join(target, "templates"), { recursive: true });
        await symlink(elsewhere, join(target, "templates"));
        await removeTargetFiles(target, "configure", "r1").catch(() => undefined);
        await untouched();
    });

    it("names no process of another user to root in a pid file of its own: SM-E0710", async () => {
        const pidFile = join(above, "homeserver.pid");
        await plant(pidFile, `${ofRoot()}\n`);
        const error = await expectError("SM-E0710", () => namedProcess(thisMachine, pidFile));
        expect(error.detail.found).to.contain(`in a file that user id ${user.uid} wrote`);
        await rm(pidFile);
        await writeFile(pidFile, `${ofRoot()}\n`);
        expect((await namedProcess(thisMachine, pidFile))?.argv).to.deep.equal(["sleep", "60"]);
        await chmod(pidFile, 0o666);
        await expectError("SM-E0710", () => namedProcess(thisMachine, pidFile));
        await rm(pidFile);
        await symlink("/proc/self/stat", pidFile);
        await expectError("SM-E0710", () => namedProcess(thisMachine, pidFile));
    });
});

async function expectRefused(url: string): Promise<void> {
    const answered = await fetch(url).then(
        () => true,
        () => false,
    );
    expect(answered).to.equal(false);
}
