/** Another machine for tests: the helper that is run on one, as a child of this process on this machine. */
import { spawn, type ChildProcessByStdio } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Readable, Writable } from "node:stream";
import { FarConnection } from "../../engine/machines/far/connection.ts";
import { farFiles } from "../../engine/machines/far/farFiles.ts";
import { thisMachine } from "../../engine/machines/local/localMachine.ts";
import type { Machine } from "../../engine/machines/machine.ts";
import { MigrationError } from "../../engine/run/errors.ts";

const helperFile = join(import.meta.dirname, "../../engine/machines/far/far_helper.py");
const bootstrap =
    "import sys; b = sys.stdin.buffer; exec(compile(b.read(int(b.readline())), 'far_helper', 'exec'), {'__name__': 'far_helper'})";

export interface HelperMachine extends Machine {
    readonly connection: FarConnection;
    readonly process: ChildProcessByStdio<Writable, Readable, null>;
    /** How often each operation was asked for. */
    readonly asked: ReadonlyMap<string, number>;
    close(): Promise<void>;
}

export interface HelperOptions {
    /** Of the helper; as here when absent. */
    readonly uid?: number;
    readonly environment?: Readonly<Record<string, string>>;
    /** Between the helper's answers and who reads them. */
    readonly through?: (answers: Readable) => Readable;
}

export async function helperMachine({
    uid,
    environment = {},
    through = (answers) => answers,
}: HelperOptions = {}): Promise<HelperMachine> {
    const name = "far.example.org";
    const child = spawn("python3", ["-I", "-c", bootstrap], {
        stdio: ["pipe", "pipe", "inherit"],
        env: { PATH: process.env["PATH"], ...environment },
        ...(uid === undefined ? {} : { uid, gid: uid }),
    });
    const connection = new FarConnection(child.stdin, through(child.stdout), name);
    child.once("error", (cause) => {
        const found = `python3 cannot be started: ${cause.message}; the tests need it, for example by \`apt-get install python3-minimal\``;
        connection.lose(new MigrationError("SM-E1401", { where: name, found, cause }));
    });
    child.once("close", () => {
        connection.lose(new MigrationError("SM-E1401", { where: name, found: "the connection was lost" }));
    });
    const program = await readFile(helperFile);
    child.stdin.write(`${program.length}\n`);
    child.stdin.write(program);
    await connection.ask("hello");
    const asked = new Map<string, number>();
    const ask = connection.ask.bind(connection);
    connection.ask = (op, ...rest) => {
        asked.set(op, (asked.get(op) ?? 0) + 1);
        return ask(op, ...rest);
    };
    return {
        ...{ ...thisMachine, name, isHere: false, asked, connection, process: child },
        files: farFiles(() => Promise.resolve(connection)),
        close: async () => {
            if (child.exitCode !== null || child.signalCode !== null) return;
            const closed = once(child, "close");
            child.stdin.end();
            await closed;
        },
    };
}
