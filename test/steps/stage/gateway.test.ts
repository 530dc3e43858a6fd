import { expect } from "chai";
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { z } from "zod";
import { gatewayContract } from "../../../contract/index.ts";
import { gateway } from "../../../steps/stage/gateway.ts";
import { gatewayProcess } from "../../../engine/gateway/gatewayProcess.ts";
import { gatewayFiles, writeGatewayState } from "../../../engine/gateway/state.ts";
import { runningDaemon } from "../../../engine/services/daemon.ts";
import { thisMachine } from "../../../engine/machines/local/localMachine.ts";
import { readProcess } from "../../../engine/machines/procfs.ts";
import { serviceUser } from "../../../engine/machines/serviceUser.ts";
import { expectError } from "../../support/expectError.ts";
import { untilItPasses } from "../../support/waiting.ts";
import { fakeHomeserver, type FakeHomeserver } from "../../engine/gateway/fakeHomeserver.ts";
import { testRun } from "../../support/stepRun.ts";

describe("the step gateway", () => {
    let directory: string;
    let homeserver: FakeHomeserver;
    let spec: z.infer<typeof gatewayContract.spec>;
    const run = (id = "r1") => testRun(id, directory);
    const pid = async () =>
        (await runningDaemon(gatewayFiles(spec.directory).pid, await gatewayProcess(spec.directory)))?.pid;
    const status = async (url: string) => (await fetch(new URL("/_matrix/client/versions", url))).status;

    beforeEach(async () => {
        directory = await mkdtemp(join(tmpdir(), "gateway-"));
        homeserver = await fakeHomeserver();
        spec = {
            run: { id: "r1", directory },
            directory: join(directory, "gateway"),
            listener: { bindAddress: "127.0.0.1", port: 0 },
            upstream: homeserver.url,
            retryAfterSeconds: 30,
        };
    });
    afterEach(async () => {
        await rm(gatewayFiles(spec.directory).state, { force: true });
        await gateway.undo?.(spec, run("r1"));
        await gateway.undo?.(spec, run("r2"));
        await homeserver.close();
        await rm(directory, { recursive: true });
    });

    it("starts a gateway that answers 503, keeps it when called again, and removes it when undone", async () => {
        const result = gatewayContract.result.parse(await gateway.act(spec, run()));
        expect(await status(result.url)).to.equal(503);
        const first = await pid();
        expect(await gateway.act(spec, run())).to.deep.equal(result);
        expect(await pid()).to.equal(first);
        await gateway.undo?.(spec, run());
        expect(await readdir(directory)).to.deep.equal([]);
        expect(await readProcess(thisMachine, first ?? 0)).to.equal(undefined);
        await gateway.undo?.(spec, run());
    });

    it("takes the same free port again after its process was killed", async () => {
        const { url } = await gateway.act(spec, run());
        const killed = (await pid()) ?? 0;
        process.kill(killed, "SIGKILL");
        await untilItPasses(async () => expect(await readProcess(thisMachine, killed)).to.equal(undefined));
        expect((await gateway.act(spec, run())).url).to.equal(url);
    });

    it("runs as the service user once it listens", async () => {
        await gateway.act(spec, run());
        const uid = serviceUser()?.uid ?? process.geteuid?.();
        await untilItPasses(async () =>
            expect((await readProcess(thisMachine, (await pid()) ?? 0))?.uid).to.equal(uid),
        );
        const { mode, uid: owner } = await stat(spec.directory);
        expect(mode & 0o777).to.equal(serviceUser() === undefined ? 0o700 : 0o750);
        expect(owner).to.equal(process.geteuid?.());
    });

    it("follows its state file, and is closed when that is damaged or gone", async () => {
        const { url } = await gateway.act(spec, run());
        const { state } = gatewayFiles(spec.directory);
        const becomes = (expected: number) => untilItPasses(async () => expect(await status(url)).to.equal(expected));
        const open = () => writeGatewayState(state, { state: "open", run: "r1" }, serviceUser());
        await open();
        await becomes(200);
        await writeFile(state, `{"state":"op`);
        await becomes(503);
        await open();
        await becomes(200);
        await rm(state);
        await becomes(503);
        expect(await readFile(gatewayFiles(spec.directory).log, "utf8")).to.contain("open (run r1)");
    });

    it("stays open when the run that opened it calls the step again", async () => {
        const { url } = await gateway.act(spec, run());
        await writeGatewayState(gatewayFiles(spec.directory).state, { state: "open", run: "r1" }, serviceUser());
        await untilItPasses(async () => expect(await status(url)).to.equal(200));
        await gateway.act(spec, run());
        expect(await status(url)).to.equal(200);
    });

    it("refuses with SM-E0714 to close what another run has opened", async () => {
        const { url } = await gateway.act(spec, run());
        await writeGatewayState(gatewayFiles(spec.directory).state, { state: "open", run: "r1" }, serviceUser());
        await untilItPasses(async () => expect(await status(url)).to.equal(200));
        await expectError("SM-E0714", () => gateway.act(spec, run("r2")));
        expect(await status(url)).to.equal(200);
    });

    it("is taken over by a newer run, whose gateway the undo of the older one leaves alone", async () => {
        const { url } = await gateway.act(spec, run("r1"));
        const first = await pid();
        expect((await gateway.act(spec, run("r2"))).url).to.equal(url);
        expect(await pid()).to.equal(first);
        const older = run("r1");
        await gateway.undo?.(spec, older);
        expect(older.said.join()).to.contain("belongs to run r2");
        expect(await status(url)).to.equal(503);
    });

    it("is restarted on its port when its homeserver moves", async () => {
        const { url } = await gateway.act(spec, run());
        const first = await pid();
        const moved = await gateway.act({ ...spec, upstream: "http://127.0.0.1:9" }, run());
        expect(moved.url).to.equal(url);
        expect(await pid()).not.to.equal(first);
    });

    it("reports SM-E0712 with its log when its port is taken", async () => {
        const taken = { ...spec, listener: { bindAddress: "127.0.0.1", port: homeserver.port } };
        const error = await expectError("SM-E0712", () => gateway.act(taken, run()));
        expect(error.detail.found).to.contain("EADDRINUSE");
    });
});
