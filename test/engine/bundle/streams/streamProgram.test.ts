import { expect } from "chai";
import {
    streamProgram,
    type ProgramEnd,
    type StreamProgramOptions,
} from "../../../../engine/bundle/streams/streamProgram.ts";
import { expectError } from "../../../support/expectError.ts";
import { collect } from "../fixtures.ts";

// eslint-disable-next-line @typescript-eslint/require-await -- it stands for a stream
async function* input(chunks: number, fails = false): AsyncGenerator<Buffer, void> {
    for (let n = 0; n < chunks; n++) yield Buffer.alloc(100_000, n);
    if (fails) throw new Error("the input failed");
}

function through(script: string, options: Partial<StreamProgramOptions> = {}): AsyncGenerator<Buffer, void> {
    return streamProgram("sh", ["-c", script], {
        input: input(50),
        secret: "secret",
        stallSeconds: 30,
        judge: ({ exitCode }) => {
            if (exitCode !== 0) throw new Error(`ended with ${exitCode ?? "a signal"}`);
        },
        ...options,
    });
}

async function failure(work: AsyncGenerator<Buffer, void>): Promise<string> {
    return collect(work).then(
        () => "none",
        (error: unknown) => String(error),
    );
}

describe("a program as a part of a stream", () => {
    it("gives what it makes of the input, and is judged by all it says", async () => {
        let end: ProgramEnd | undefined;
        const script = "cat; cat <&3 >&4; echo trouble >&2";
        const bytes = await collect(through(script, { judge: (found) => (end = found) }));
        expect(bytes.equals(await collect(input(50)))).to.equal(true);
        expect(end).to.deep.equal({ exitCode: 0, endedBy: null, stderr: "trouble\n", status: "secret" });
    });

    it("fails when the program fails after it has given everything", async () => {
        expect(await failure(through("cat; exit 3"))).to.equal("Error: ended with 3");
    });

    it("fails with the input's error when that fails", async () => {
        expect(await failure(through("cat", { input: input(3, true) }))).to.equal("Error: the input failed");
    });

    it("ends a program that takes no input, and one that does not end", async () => {
        await expectError("SM-E1101", () => collect(through("exec sleep 60", { stallSeconds: 0.3 })));
        await expectError("SM-E1101", () => collect(through("cat; exec sleep 60", { stallSeconds: 0.3 })));
    });

    it("does not take a reader that is slow for a stall", async () => {
        let bytes = 0;
        for await (const chunk of through("cat", { stallSeconds: 0.3 })) {
            if (bytes === 0) await new Promise((resolve) => setTimeout(resolve, 800));
            bytes += chunk.length;
        }
        expect(bytes).to.equal(5_000_000);
    });

    it("leaves a program that reads nothing and ends well to its judge", async () => {
        expect(await failure(through("exit 0"))).to.equal("none");
        expect(await failure(through("exit 5"))).to.equal("Error: ended with 5");
    });
});
