import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { chmod, readFile, rm, stat, utimes } from "node:fs/promises";
import { dirname, join } from "node:path";
import { expect } from "chai";
import type { z } from "zod";
import { fenceContract, takeFileContract, type RunReference, type SelfHostedSource } from "../../../contract/index.ts";
import { rightsLacking } from "../../../engine/fence/database/sqliteDatabase.ts";
import { recordFile } from "../../../engine/fence/database/recordBesideFile.ts";
import { markSourceCommitted, refuseUnlessStillFenced } from "../../../engine/fence/stillFenced.ts";
import { thisMachine } from "../../../engine/machines/local/localMachine.ts";
import { runProgram } from "../../../engine/machines/program.ts";
import { makeRehearsalDirectory, removeRehearsalDirectory } from "../../../rehearsal/directory.ts";
import { SourceHomeserver } from "../../../rehearsal/source/homeserver.ts";
import { SourceSqlite } from "../../../rehearsal/source/sqliteDatabase.ts";
import { fence } from "../../../steps/migrate/fence.ts";
import { takeFile } from "../../../steps/migrate/takeFile.ts";
import { synapsePython } from "../../engine/sqlite/sqliteSource.ts";
import { expectError } from "../../support/expectError.ts";
import { done, undone } from "../../support/migrationSpecs.ts";

const serverName = "rehearsal.test";

describe("the fence of a homeserver on an SQLite file", () => {
    let directory: string;
    let database: string;
    let python: string;
    let homeserver: SourceHomeserver;
    let source: SelfHostedSource;
    const runOf = (id: string): RunReference => ({ id, directory: join(directory, "runs", id) });
    const spec = (id: string): z.infer<typeof fenceContract.spec> => ({ run: runOf(id), source });
    const taking = (id: string, fenceToken?: string): z.infer<typeof takeFileContract.spec> => ({
        ...{ run: runOf(id), source, targetPython: python },
        ...(fenceToken === undefined ? {} : { fenceToken }),
    });

    before(async () => {
        python = await synapsePython();
        directory = makeRehearsalDirectory();
        database = join(directory, "synapse", "homeserver.db");
        homeserver = await SourceHomeserver.start({
            directory: join(directory, "synapse"),
            ...{ python, serverName, cluster: new SourceSqlite(database, python) },
        });
        source = {
            ...{ kind: "selfHosted", serverName, homeserverConfig: [homeserver.files.configFile] },
            machine: { kind: "local" },
            service: { kind: "process", pidFile: homeserver.files.pidFile },
        };
    });
    after(async () => {
        await homeserver.stop();
        await removeRehearsalDirectory(directory);
    });
    afterEach(async () => {
        if (!(await homeserver.answers())) await homeserver.startAgain();
    });

    it("stops it, sees its file stand still, yields a token that holds and its file, and is lifted without a trace", async () => {
        const { mode } = await stat(database);
        const { token } = await done(fence, spec("stops"), fenceContract.result);
        expect(await homeserver.answers()).to.equal(false);
        await refuseUnlessStillFenced(source, token, runOf("stops"));
        expect((await stat(database)).mode & 0o222, "nobody may write to it").to.equal(0);
        const { file, bytes } = await done(takeFile, taking("stops", token), takeFileContract.result);
        expect({ file, bytes }).to.deep.equal({ file: database, bytes: (await stat(database)).size });
        await undone(takeFile, taking("stops", token));
        expect((await stat(database)).size, "the source's own").to.equal(bytes);
        await undone(fence, spec("stops"));
        expect((await stat(database)).mode).to.equal(mode);
        expect(await homeserver.answers()).to.equal(true);
        expect(existsSync(recordFile(database))).to.equal(false);
    });

    it("does not hold any more once the file has changed, and is still lifted", async () => {
        const { token } = await done(fence, spec("written"), fenceContract.result);
        await utimes(database, new Date(), new Date());
        const { detail } = await expectError("SM-E0702", () =>
            refuseUnlessStillFenced(source, token, runOf("written")),
        );
        expect(detail.found).to.contain("written to after it was fenced").and.to.contain(database);
        await expectError("SM-E0702", () => done(takeFile, taking("written", token), takeFileContract.result));
        await undone(fence, spec("written"));
        expect(await homeserver.answers()).to.equal(true);
    });

    it("does not hold while somebody has the file open, by whatever name", async () => {
        const { token } = await done(fence, spec("open"), fenceContract.result);
        const name = `${database}.other-name`;
        await runProgram("ln", ["--", database, name], { timeoutSeconds: 10 });
        await opened(name, async (pid) => {
            const { detail } = await expectError("SM-E0702", () =>
                refuseUnlessStillFenced(source, token, runOf("open")),
            );
            expect(detail.found).to.contain(`${pid}`);
        });
        await rm(name);
        await refuseUnlessStillFenced(source, token, runOf("open"));
        await undone(fence, spec("open"));
    });

    it("is refused, while it serves, where somebody else has the file open, who is named", async () => {
        await opened(database, async (pid) => {
            const { detail } = await expectError("SM-E0974", () => done(fence, spec("shared"), fenceContract.result));
            expect(detail.found).to.contain(`${pid}`);
            expect(detail.changed).to.contain("was not stopped");
        });
        expect(await homeserver.answers()).to.equal(true);
    });

    it("is refused to who may not close the file to writers (SM-E0723)", async () => {
        const stranger = { ...thisMachine, userId: () => Promise.resolve(1_000_000) };
        const [obstacle] = await rightsLacking({ machine: stranger, path: database });
        expect(obstacle?.code).to.equal("SM-E0723");
        const { uid } = await stat(database);
        const owner = { ...thisMachine, userId: () => Promise.resolve(uid) };
        for (const machine of [owner, { ...thisMachine, userId: () => Promise.resolve(0) }])
            expect(await rightsLacking({ machine, path: database })).to.deep.equal([]);
    });

    it("is refused to a second stack while the first holds it", async () => {
        await done(fence, spec("first"), fenceContract.result);
        const other = { ...spec("second"), run: { id: "first", directory: join(directory, "other", "runs", "first") } };
        await expectError("SM-E0741", () => done(fence, other, fenceContract.result));
        await undone(fence, spec("first"));
        expect(await homeserver.answers()).to.equal(true);
    });

    it("is never lifted again once the source was left for good", async () => {
        const { token } = await done(fence, spec("left"), fenceContract.result);
        await markSourceCommitted(source, runOf("left"), "test");
        await refuseUnlessStillFenced(source, token, runOf("left"));
        await undone(fence, spec("left"));
        await expectError("SM-E0741", () => done(fence, spec("again"), fenceContract.result));
        expect(await homeserver.answers()).to.equal(false);
        await rm(recordFile(database));
        await chmod(database, 0o640);
    });

    it("is not needed for a snapshot of a source that goes on, which is whole and leaves nothing beside the file", async () => {
        const { file } = await done(takeFile, taking("snapshot"), takeFileContract.result);
        expect(dirname(file)).to.equal(join(runOf("snapshot").directory, "taken-file"));
        expect((await readFile(file)).subarray(0, 15).toString("latin1")).to.equal("SQLite format 3");
        const said = await runProgram(
            python,
            [
                "-c",
                "import sqlite3, sys; print(sqlite3.connect(sys.argv[1]).execute('PRAGMA integrity_check').fetchone()[0])",
                file,
            ],
            { timeoutSeconds: 30 },
        );
        expect(said.stdout).to.equal("ok\n");
        expect(await homeserver.answers()).to.equal(true);
        await undone(takeFile, taking("snapshot"));
        expect(existsSync(dirname(file))).to.equal(false);
    });

    /** Beside a process that has it open for reading. */
    async function opened(path: string, work: (pid: number) => Promise<void>): Promise<void> {
        const child = spawn("tail", ["--follow", "--lines=1", path], { stdio: ["ignore", "pipe", "ignore"] });
        try {
            await once(child.stdout, "data");
            await work(child.pid ?? 0);
        } finally {
            child.kill("SIGKILL");
            await once(child, "exit");
        }
    }
});
