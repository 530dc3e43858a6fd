import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import {
    gatewayFiles,
    readListeningPort,
    writeGatewayConfig,
    writeGatewayState,
} from "../../../engine/gateway/state.ts";
import { untilItPasses } from "../../support/waiting.ts";
import { fakeHomeserver } from "./fakeHomeserver.ts";

const main = fileURLToPath(new URL("../../../engine/gateway/main.ts", import.meta.url));
/** What a gateway that lives for days meets at some time. */
const collecting = "data:text/javascript,setInterval(globalThis.gc, 20).unref()";

describe("the gateway's process", () => {
    it("goes on following its state when memory was collected since it opened its directory", async () => {
        const directory = await mkdtemp(join(tmpdir(), "gateway-process-"));
        await chmod(directory, 0o700);
        const homeserver = await fakeHomeserver();
        const files = gatewayFiles(directory);
        const listener = { bindAddress: "127.0.0.1", port: 0 };
        await writeGatewayConfig(files.config, { run: "r1", listener, upstream: homeserver.url, retryAfterSeconds: 1 });
        const args = ["--expose-gc", "--import", "tsx", "--import", collecting, main, files.config];
        const child = spawn(process.execPath, args, { stdio: "ignore" });
        try {
            const port = await untilItPasses(async () => {
                const listening = await readListeningPort(files.listening);
                expect(listening).to.be.a("number");
                return listening;
            });
            await new Promise((resolve) => setTimeout(resolve, 500));
            await writeGatewayState(files.state, { state: "open", run: "r1" }, undefined);
            await untilItPasses(async () => {
                expect((await fetch(`http://127.0.0.1:${port}/_matrix/client/versions`)).status).to.equal(200);
            });
        } finally {
            child.kill("SIGKILL");
            if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
            await homeserver.close();
            await rm(directory, { recursive: true });
        }
    });
});
