import { expect } from "chai";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { withFoundPython } from "../../../engine/machines/ssh/startHelper.ts";

/** A request as the helper reads it. */
function frame(request: object): Buffer {
    const header = Buffer.from(JSON.stringify(request));
    const lengths = Buffer.alloc(8);
    lengths.writeUInt32BE(header.length, 0);
    return Buffer.concat([lengths, header]);
}

describe("the search for a Python", () => {
    // What is not here is not tried: Debian has dash, and minimal systems have busybox.
    const shells = [["dash"], ["busybox", "sh"], ["bash", "--posix"]].filter(
        ([shell = ""]) => spawnSync(shell, ["--help"], { stdio: "ignore" }).error === undefined,
    );

    for (const [shell = "", ...options] of shells)
        it(`finds that of a Synapse that runs, and leaves the helper its input, in ${shell}`, async () => {
            const program = "import sys; print(flush=True); sys.stdin.read()";
            const synapse = spawn("python3", ["-c", program, "synapse.app.homeserver"], {
                stdio: ["pipe", "pipe", "inherit"],
            });
            const ended = once(synapse, "close");
            try {
                await once(synapse.stdout, "data");
                const { args, input } = await withFoundPython();
                const helper = spawn(shell, [...options, ...args], { stdio: ["pipe", "pipe", "inherit"] });
                const helperEnded = once(helper, "close");
                helper.stdin.write(Buffer.concat([input, frame({ id: 7, op: "hello", args: {} })]));
                // Its input stays open until it has answered: the helper ends with it, whatever it is at.
                const answer = await Promise.race([once(helper.stdout, "data"), helperEnded]);
                helper.stdin.end();
                await helperEnded;
                expect(String(answer[0]).slice(8)).to.match(/^\{"id":7,"value":\{"python":"3\./);
            } finally {
                synapse.stdin.end();
                await ended;
            }
        });
});
