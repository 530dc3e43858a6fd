import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { appendFile, mkdir, readdir, readFile, rm, symlink, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect } from "chai";
import { thisMachine } from "../../../engine/machines/local/localMachine.ts";
import type { Machine } from "../../../engine/machines/machine.ts";
import { runProgram } from "../../../engine/machines/program.ts";
import { takeClosedFile, takeSnapshot, type TakeFileOptions } from "../../../engine/sqlite/takeFile.ts";
import { expectError } from "../../support/expectError.ts";
import { withWorkDirectory } from "../../support/workDirectory.ts";
import { synapsePython } from "./sqliteSource.ts";

describe("the SQLite file of a homeserver, brought here", () => {
    let python: string;
    before(async () => {
        python = await synapsePython();
    });

    const optionsIn = (directory: string): TakeFileOptions => ({
        directory: join(directory, "taken"),
        ...{ runId: "r1", python },
    });
    /** Runs statements, and leaves the database as its writer was when it was killed where it is to. */
    async function sqlite(file: string, program: string): Promise<string> {
        const code = `import os, sqlite3, sys\nc = sqlite3.connect(sys.argv[1], isolation_level=None)\n${program}`;
        return (await runProgram(python, ["-c", code, file], { timeoutSeconds: 30 })).stdout.trim();
    }
    const killed =
        "c.execute('PRAGMA journal_mode = WAL')\nc.execute('CREATE TABLE t (a)')\nc.execute('INSERT INTO t VALUES (7)')\nos._exit(0)";
    const count = "print(c.execute('SELECT count(*) FROM t').fetchone()[0])";

    it("comes with all that a killed writer has left beside it, and replaces what an earlier attempt has brought", () =>
        withWorkDirectory(async (directory) => {
            await mkdir(directory);
            const file = join(directory, "homeserver.db");
            await sqlite(file, killed);
            const options = optionsIn(directory);
            await takeClosedFile(thisMachine, file, options);
            await writeFile(join(options.directory, "homeserver.db-journal"), "of an earlier attempt");
            const taken = await takeClosedFile(thisMachine, file, options);
            expect((await readdir(options.directory)).sort()).to.deep.equal(
                (await readdir(directory)).filter((name) => name.startsWith("homeserver.db")).sort(),
            );
            expect(await sqlite(taken.file, count)).to.equal("1");
        }));

    it("is refused when it changes meanwhile, whether that is seen by its time or only by its content", () =>
        withWorkDirectory(async (directory) => {
            await mkdir(directory);
            const file = join(directory, "homeserver.db");
            await sqlite(file, "c.execute('CREATE TABLE t (a)')");
            for (const write of [() => appendFile(file, "more"), undefined]) {
                const machine: Machine = {
                    ...thisMachine,
                    files: {
                        ...thisMachine.files,
                        async pour(path, take, signal) {
                            const poured = await thisMachine.files.pour(path, take, signal);
                            await write?.();
                            return write === undefined ? poured : { ...poured, after: await statOf(path) };
                        },
                        hash: async (path) =>
                            write === undefined
                                ? { size: 1, sha256: "0".repeat(64) }
                                : { ...(await thisMachine.files.hash(path)) },
                    },
                };
                await expectError("SM-E0974", () => takeClosedFile(machine, file, optionsIn(directory)));
            }
        }));

    it("is a snapshot of one that is written to, and makes nothing beside one that nobody has open", () =>
        withWorkDirectory(async (directory) => {
            await mkdir(directory);
            const file = join(directory, "homeserver.db");
            await sqlite(
                file,
                "c.execute('PRAGMA journal_mode = WAL')\nc.execute('CREATE TABLE t (a)')\nc.execute('INSERT INTO t VALUES (7)')\nc.close()",
            );
            const before = await readdir(directory);
            const options = optionsIn(directory);
            const closed = await takeSnapshot(thisMachine, file, options);
            expect((await readdir(directory)).filter((name) => name !== "taken")).to.deep.equal(before);
            expect(await readFile(closed.file)).to.deep.equal(await readFile(file));
            const open = `c.execute('INSERT INTO t VALUES (8)')\nprint('', flush=True)\nsys.stdin.read()`;
            await whileOpen(file, open, async () => {
                expect(existsSync(`${file}-shm`)).to.equal(true);
                const { file: made } = await takeSnapshot(thisMachine, file, options);
                expect(await sqlite(made, count)).to.equal("2");
                expect(await readdir(options.directory)).to.deep.equal(["homeserver.db"]);
            });
        }));

    it("is no snapshot where a disk would be filled that somebody serves from (SM-E1201)", () =>
        withWorkDirectory(async (directory) => {
            await mkdir(directory);
            const file = join(directory, "homeserver.db");
            await sqlite(file, "c.execute('CREATE TABLE t (a)')");
            // Of holes alone.
            await truncate(file, 2 ** 42);
            const { detail } = await expectError("SM-E1201", () =>
                takeSnapshot(thisMachine, file, optionsIn(directory)),
            );
            expect(detail.found).to.match(/bytes are needed in .*, \d+ are free/);
            expect(await readdir(optionsIn(directory).directory)).to.deep.equal([]);
        }));

    it("is not put where somebody else has laid a link, and nothing is removed from there", () =>
        withWorkDirectory(async (directory) => {
            await mkdir(directory);
            const file = join(directory, "homeserver.db");
            await sqlite(file, "c.execute('CREATE TABLE t (a)')");
            const options = { ...optionsIn(directory), runId: `test${process.pid}` };
            // As on another machine, whose temporary directory everybody may write to.
            const machine: Machine = { ...thisMachine, isHere: false };
            const laid = `/var/tmp/synapse-migration-${options.runId}`;
            await symlink(directory, laid);
            try {
                await expectError("SM-E1101", () => takeSnapshot(machine, file, options));
                expect(await readdir(directory)).to.include("homeserver.db");
            } finally {
                await rm(laid);
            }
        }));

    async function statOf(path: string) {
        const facts = await thisMachine.files.stat(path);
        if (facts === undefined) throw new Error(`${path} is gone`);
        return facts;
    }

    /** Beside a process that has written to it, and keeps it open. */
    async function whileOpen(file: string, program: string, work: () => Promise<void>): Promise<void> {
        const code = `import sqlite3, sys\nc = sqlite3.connect(sys.argv[1], isolation_level=None)\n${program}`;
        const child = spawn(python, ["-c", code, file], { stdio: ["pipe", "pipe", "inherit"] });
        try {
            await once(child.stdout, "data");
            await work();
        } finally {
            child.kill("SIGKILL");
            await once(child, "exit");
        }
    }
});
