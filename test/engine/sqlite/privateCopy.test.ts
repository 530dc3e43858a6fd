/** Which SQLite databases are taken, and what each of the others is refused for. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, statSync } from "node:fs";
import { appendFile, copyFile, mkdir, mkdtemp, readdir, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { randomBytes } from "node:crypto";
import { gzipSync } from "node:zlib";
import { expect } from "chai";
import { runProgram } from "../../../engine/machines/program.ts";
import type { ErrorCode } from "../../../engine/run/errorCatalogue.ts";
import { copySqliteDatabase, type SqliteCopy } from "../../../engine/sqlite/privateCopy.ts";
import { expectError } from "../../support/expectError.ts";
import { inSqlite, synapsePython } from "./sqliteSource.ts";
import { makeDatabase, userRow } from "./synapseSchema.ts";

describe("copying homeserver.db", function () {
    this.timeout(180_000);
    let python: string;
    let directory: string;
    /** A sound database, to be copied by each test. */
    let sound: string;
    let database: string;
    let destination: string;

    before(async () => {
        python = await synapsePython();
        directory = await mkdtemp(join(tmpdir(), "synapse-migration-sqlite-"));
        sound = join(directory, "sound.db");
        await makeDatabase(sound, [userRow]);
        await inSqlite(python, sound, "PRAGMA journal_mode = DELETE");
    });
    after(() => rm(directory, { recursive: true, force: true }));
    beforeEach(async () => {
        const place = await mkdtemp(join(directory, "test-"));
        database = join(place, "homeserver.db");
        await copyFile(sound, database);
        const run = join(place, "run");
        await mkdir(run, { mode: 0o700 });
        destination = join(run, "copy.db");
    });

    const copy = (): Promise<SqliteCopy> => copySqliteDatabase({ database, destination, python });
    const refuses = async (code: ErrorCode, found: RegExp): Promise<void> => {
        const { detail } = await expectError(code, copy);
        expect(detail.found).to.match(found);
        expect(await readdir(join(destination, ".."))).to.deep.equal([]);
    };
    /** Leaves the files as a Synapse does that is killed after the statements. */
    const crash = async (...statements: string[]): Promise<void> => {
        const program = `
import json, os, sqlite3, sys
q = json.load(sys.stdin)
c = sqlite3.connect(q["file"], isolation_level=None)
for s in q["statements"]: c.execute(s).fetchall()
os._exit(0)`;
        const input = JSON.stringify({ file: database, statements });
        await runProgram(python, ["-c", program], { workingDirectory: "/", input, timeoutSeconds: 30 });
    };
    const addUser = (name: string): string => userRow.replace("@a:", `@${name}:`);
    const usersOf = ({ tables }: SqliteCopy): number | undefined => tables.find(({ name }) => name === "users")?.rows;
    const footprint = async (): Promise<string[]> => {
        const names = (await readdir(join(database, ".."))).filter((name) => name !== "run").sort();
        const path = (name: string): string => join(database, "..", name);
        return names.map(
            (name) => `${name} ${statSync(path(name)).mtimeMs} ${readFileSync(path(name)).toString("base64")}`,
        );
    };

    it("makes a private copy, checked and described", async () => {
        const copied = await copy();
        expect(statSync(destination).mode & 0o777).to.equal(0o600);
        expect(copied).to.include({ schemaVersion: 94, compatVersion: 84, autoVacuum: false });
        expect(copied.bytes)
            .to.equal(copied.pages * copied.pageBytes)
            .and.equal(statSync(destination).size);
        expect(copied.domains).to.deep.equal([{ domain: "rehearsal.test", users: 1 }]);
        expect(usersOf(copied)).to.equal(1);
        expect(copied.tables.some(({ name }) => name.startsWith("event_search_"))).to.equal(false);
    });

    it("replaces an older copy", async () => {
        await writeFile(destination, "half a copy");
        await writeFile(`${destination}.partial`, "half a copy");
        expect(usersOf(await copy())).to.equal(1);
    });

    it("carries over what is in the write-ahead log only, and leaves the source as it is", async () => {
        await crash("PRAGMA journal_mode = WAL", addUser("late"));
        const before = await footprint();
        expect(before).to.have.length(3);
        const copied = await copy();
        expect(usersOf(copied)).to.equal(2);
        expect(copied.source.walBytes).to.be.above(0);
        expect(await footprint()).to.deep.equal(before);
        expect(await readdir(join(destination, ".."))).to.deep.equal(["copy.db"]);
    });

    it("undoes what a killed writer had not committed: its hot journal", async () => {
        await crash(
            ...["PRAGMA cache_size = 2", "PRAGMA cache_spill = 1", "BEGIN", addUser("never")],
            "INSERT INTO event_json SELECT 'x' || value, 'r', '{}', hex(randomblob(2000)), 3 FROM (WITH RECURSIVE n(value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM n LIMIT 200) SELECT value FROM n)",
        );
        const before = await footprint();
        const copied = await copy();
        expect(copied.source.journalBytes).to.be.above(0);
        expect(usersOf(copied)).to.equal(1);
        expect(copied.tables.find(({ name }) => name === "event_json")?.rows).to.equal(0);
        expect(await footprint()).to.deep.equal(before);
    });

    it("refuses a journal of a transaction over several databases", async () => {
        await writeFile(
            `${database}-journal`,
            Buffer.concat([randomBytes(600), Buffer.from("d9d505f920a163d7", "hex")]),
        );
        await refuses("SM-E0972", /several databases/);
    });

    it("turns off auto_vacuum, which synapse_port_db refuses", async () => {
        await inSqlite(python, database, "PRAGMA auto_vacuum = FULL", "VACUUM");
        expect(await copy()).to.include({ autoVacuum: true });
        const again = await copySqliteDatabase({ database: destination, destination: `${destination}.again`, python });
        expect(again).to.include({ autoVacuum: false });
    });

    for (const [what, statements] of [
        ["has it open, in WAL mode", ["PRAGMA journal_mode = WAL", "SELECT count(*) FROM users"]],
        ["is writing it", ["BEGIN IMMEDIATE", addUser("now")]],
        ["is about to write it", ["BEGIN EXCLUSIVE"]],
    ] as const) {
        it(`refuses a database while another process ${what}, and says which`, async () => {
            const program =
                "import sqlite3, sys\nc = sqlite3.connect(sys.argv[1], isolation_level=None)\n" +
                "for s in sys.argv[2:]: c.execute(s).fetchall()\nprint('ready', flush=True)\nsys.stdin.read()";
            const holder = spawn(python, ["-c", program, database, ...statements], {
                stdio: ["pipe", "pipe", "inherit"],
            });
            try {
                await once(holder.stdout, "data");
                await refuses("SM-E0974", new RegExp(`process ${holder.pid ?? ""} .*python`));
            } finally {
                holder.stdin.end();
                await once(holder, "exit");
            }
            expect(usersOf(await copy())).to.equal(1);
        });
    }

    const others: [string, ErrorCode, RegExp, () => Promise<void>][] = [
        ["an empty file", "SM-E0970", /empty/, () => truncate(database, 0)],
        ["an archive of it", "SM-E0970", /gzip/, async () => writeFile(database, gzipSync(await readFile(database)))],
        ["a text", "SM-E0970", /header/, () => writeFile(database, "hello\n".repeat(1000))],
        ["an encrypted database", "SM-E0971", /SQLCipher/, () => writeFile(database, randomBytes(65_536))],
        ["bytes beyond its end", "SM-E0972", /./, () => appendFile(database, "x")],
        ["a database of another program", "SM-E0508", /events/, () => inSqlite(python, database, "DROP TABLE events")],
        [
            "rows that refer to nothing",
            "SM-E0973",
            /1 rows of refresh_tokens refer to rows of refresh_tokens/,
            () =>
                inSqlite(
                    python,
                    database,
                    "INSERT INTO refresh_tokens (id, user_id, device_id, token, next_token_id) VALUES (1, 'u', 'd', 't', 99)",
                ),
        ],
    ];
    for (const [what, code, found, alter] of others) {
        it(`refuses ${what}`, async () => {
            await alter();
            await refuses(code, found);
        });
    }

    it("refuses a path where nothing is, and a directory", async () => {
        await rm(database);
        await expectError("SM-E0970", copy);
        await mkdir(database);
        await expectError("SM-E0970", copy);
    });

    it("refuses a database that the run directory has no space for, before anything is copied", async () => {
        await truncate(database, 8 * 1024 ** 4);
        await refuses("SM-E1201", /8796093022208 bytes are needed/);
    });

    it("refuses a database that is written to while it is copied", async () => {
        await crash("PRAGMA journal_mode = WAL", addUser("one"));
        // Something that holds no lock, as a program on another machine would.
        const program =
            "import itertools, os, sys\nprint('ready', flush=True)\nfor n in itertools.count(): os.utime(sys.argv[1], ns=(n, n))";
        const writer = spawn(python, ["-c", program, `${database}-wal`], { stdio: ["ignore", "pipe", "inherit"] });
        try {
            await once(writer.stdout, "data");
            await refuses("SM-E0974", /changed while it was copied/);
        } finally {
            writer.kill("SIGKILL");
            await once(writer, "exit");
        }
    });

    it("refuses a database that was cut off, wherever", async () => {
        const whole = await readFile(database);
        for (let part = 1; part < 16; part += 1) {
            await writeFile(database, whole.subarray(0, Math.floor((whole.length * part) / 16)));
            await refuses("SM-E0972", /./);
        }
    });

    it("refuses a write-ahead log with a bit flipped, or cut off where its index is there, wherever", async () => {
        await crash("PRAGMA journal_mode = WAL", addUser("one"), addUser("two"), addUser("three"));
        const log = await readFile(`${database}-wal`);
        for (let part = 0; part < 16; part += 1) {
            // A backup may have left out the log's index, which says how far the log went.
            if (part === 8) await rm(`${database}-shm`);
            const place = Math.floor((log.length * part) / 16) + 16;
            const flipped = Buffer.from(log);
            flipped.writeUInt8(flipped.readUInt8(place) ^ 4, place);
            await writeFile(`${database}-wal`, flipped);
            await refuses("SM-E0972", /write-ahead log/);
            if (part >= 8) continue;
            await writeFile(`${database}-wal`, log.subarray(0, place));
            await refuses("SM-E0972", /write-ahead log/);
        }
    });
});
