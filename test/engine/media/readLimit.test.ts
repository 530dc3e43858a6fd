import { expect } from "chai";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import { largestLoad } from "../../../engine/machines/far/farPour.ts";
import { thisMachine } from "../../../engine/machines/local/localMachine.ts";
import type { Machine } from "../../../engine/machines/machine.ts";
import { MediaIndex } from "../../../engine/media/mediaIndex.ts";
import { openStore } from "../../../engine/media/readStore.ts";
import type { ReadLimit } from "../../../engine/media/readLimit.ts";
import { copyPass, type CopyPass } from "../../../engine/media/sourcePass.ts";
import { helperMachine, type HelperMachine } from "../../support/helperMachine.ts";

const folders = ["local_content"];
const mebibyte = 1024 * 1024;

/** Lets so many bytes pass, and then nothing until it is opened. */
class Gate implements ReadLimit {
    public passed = 0;
    public mostWaiting = 0;
    #waiting = 0;
    readonly #atMost: number;
    #open = false;
    #let: (() => void)[] = [];
    #isClosed = (): void => undefined;
    /** Somebody waits. */
    public readonly closed = new Promise<void>((resolve) => (this.#isClosed = resolve));

    constructor(atMost: number) {
        this.#atMost = atMost;
    }

    public async pass(bytes: number): Promise<void> {
        this.mostWaiting = Math.max(this.mostWaiting, ++this.#waiting);
        await this.#turn(bytes);
        this.#waiting--;
        this.passed += bytes;
    }

    async #turn(bytes: number): Promise<void> {
        if (!this.#open && this.passed + bytes > this.#atMost) {
            this.#isClosed();
            await new Promise<void>((resolve) => this.#let.push(resolve));
        }
        // Long enough for whoever does not wait to come again.
        for (let turn = 0; this.#open && turn < 20; turn++) await nextTurn();
    }

    public open(): void {
        this.#open = true;
        for (const go of this.#let.splice(0)) go();
    }
}

describe("the limit of reading a media store", function () {
    this.timeout(60_000);
    let far: HelperMachine;
    let directory = "";
    before(async () => {
        far = await helperMachine();
    });
    after(() => far.close());
    beforeEach(async () => {
        directory = await mkdtemp(join(tmpdir(), "read-limit-"));
        await mkdir(join(directory, "target"));
    });
    afterEach(() => rm(directory, { recursive: true }));

    const put = async (path: string, bytes: number): Promise<void> => {
        const place = join(directory, "source/local_content", path);
        await mkdir(dirname(place), { recursive: true });
        await writeFile(place, Buffer.alloc(bytes, path));
    };
    const pass = async (machine: Machine, limit: ReadLimit, index = "index"): Promise<CopyPass> => {
        const source = await openStore(machine, join(directory, "source"), folders);
        const media = await MediaIndex.open(join(directory, index));
        try {
            const targetRoot = join(directory, "target");
            return await copyPass({ source, targetRoot, folders, index: media, owner: undefined, limit });
        } finally {
            await media.close({ compact: true });
        }
    };
    /** Counts what the machine hands over, and what it is asked for. */
    const counting = (machine: Machine) => {
        const count = { files: 0, bytes: 0, hashed: 0 };
        const files: Machine["files"] = {
            ...machine.files,
            pour: (path, take, signal) => {
                count.files++;
                return machine.files.pour(path, (chunk) => ((count.bytes += chunk.length), take(chunk)), signal);
            },
            hash: (path, signal) => {
                count.hashed++;
                return machine.files.hash(path, signal);
            },
        };
        return { count, machine: { ...machine, files } };
    };

    for (const [where, here] of [
        ["here", true],
        ["on another machine", false],
    ] as const) {
        it(`asks for no small file before its turn (${where})`, async () => {
            for (let n = 0; n < 60; n++) await put(`aa/bb/${String(n).padStart(3, "0")}`, 10_000);
            const { count, machine } = counting(here ? thisMachine : far);
            const gate = new Gate(200_000);
            const done = pass(machine, gate);
            await gate.closed;
            expect(count.files).to.be.at.most(20);
            gate.open();
            expect(await done).to.include({ files: 60, copied: 60 });
            expect(gate.passed).to.equal(600_000);
        });

        it(`takes a large file no faster than it lets pass (${where})`, async () => {
            await put("aa/bb/large", 20 * mebibyte);
            const { count, machine } = counting(here ? thisMachine : far);
            const before = far.asked.get("pour") ?? 0;
            const gate = new Gate(2 * mebibyte);
            const done = pass(machine, gate);
            await gate.closed;
            expect(count.bytes).to.be.at.most(2 * mebibyte + 512 * 1024);
            // What is asked for ahead is bounded, and less than the file.
            expect(((far.asked.get("pour") ?? 0) - before) * 512 * 1024).to.be.at.most(2 * mebibyte + 2 * largestLoad);
            gate.open();
            expect(await done).to.include({ files: 1, copied: 1 });
            expect(gate).to.include({ passed: 20 * mebibyte, mostWaiting: 1 });
        });

        it(`counts what is hashed there, and nothing of what is known (${where})`, async () => {
            for (const name of ["a", "b", "c"]) await put(`aa/bb/${name}`, 1000);
            const { count, machine } = counting(here ? thisMachine : far);
            const gate = new Gate(1_000_000);
            await pass(machine, gate);
            await pass(machine, gate);
            expect([gate.passed, count.hashed]).to.deep.equal([3000, 0]);
            await pass(machine, gate, "another index");
            expect([gate.passed, count.hashed]).to.deep.equal([6000, 3]);
        });
    }
});
