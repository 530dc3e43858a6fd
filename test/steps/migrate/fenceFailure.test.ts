import { rename } from "node:fs/promises";
import { join } from "node:path";
import { expect } from "chai";
import { databaseContract, fenceContract } from "../../../contract/index.ts";
import { readFenceHolder } from "../../../engine/fence/fenceHolder.ts";
import { freePort } from "../../../engine/machines/freePort.ts";
import { isClusterRunning, stopCluster } from "../../../engine/postgres/server/managedCluster.ts";
import { MigrationError } from "../../../engine/run/errors.ts";
import { prepareRunDirectory } from "../../../engine/run/runDirectory.ts";
import { fence } from "../../../steps/migrate/fence.ts";
import { database } from "../../../steps/stage/database.ts";
import { ensureToolchain } from "../../../toolchain/toolchain.ts";
import { expectError } from "../../support/expectError.ts";
import { done, runOf, sourceOf, undone } from "../../support/migrationSpecs.ts";
import { testRun } from "../../support/stepRun.ts";
import { startTestSynapse, type TestSynapse } from "../../support/synapse.ts";
import { untilTrue } from "../../support/waiting.ts";
import { fencedSource, type FencedSource } from "./fencedSource.ts";

describe("a fence that cannot be made", function () {
    let synapse: TestSynapse;
    let source: FencedSource;
    const spec = (run: string) => source.spec(run);

    before(async () => {
        synapse = await startTestSynapse();
        source = fencedSource(synapse);
    });
    after(() => synapse.stop());

    it("refuses with SM-E0720 a session of somebody else before it stops anything, and names who holds it", async () => {
        const before = await source.processId();
        await source.withSession(async () => {
            const error = await expectError("SM-E0720", () => done(fence, spec("session"), fenceContract.result));
            expect(error.detail.found).to.contain("forgotten worker").and.to.contain(`held by process ${process.pid}`);
            expect(error.block).to.contain("nothing: the source was not stopped");
        });
        expect(await source.processId()).to.equal(before);
        expect(await readFenceHolder(join(synapse.directory, "runs"))).to.equal(undefined);
        expect(await source.settings()).to.deep.equal([]);
        await undone(fence, spec("session"));
        expect(await source.processId()).to.equal(before);
    });

    it("refuses every obstacle at once, before it stops anything", async () => {
        const before = await source.processId();
        await synapse.cluster.administer("CREATE TABLE of_somebody_else (id int)");
        await synapse.cluster.administer("ALTER ROLE synapse SET default_transaction_read_only = off");
        try {
            const act = () => done(fence, spec("obstacles"), fenceContract.result);
            for (const code of ["SM-E0560", "SM-E0723", "SM-E0724"] as const) await expectError(code, act);
        } finally {
            await synapse.cluster.administer("ALTER ROLE synapse RESET default_transaction_read_only");
            await synapse.cluster.administer("DROP TABLE of_somebody_else");
        }
        expect(await source.processId()).to.equal(before);
    });

    it("starts the source again by itself when a session comes after it was stopped, and says so", async () => {
        const before = await source.commandLine();
        const attempt = testRun("late", runOf(synapse, "late").directory);
        await prepareRunDirectory(attempt.directory);
        const failing = expectError("SM-E0702", () => fence.act(spec("late"), attempt));
        await untilTrue(async () => !(await synapse.homeserver.answers()));
        await source.withSession(async () => {
            const error = await failing;
            expect(error.detail.found).to.contain("forgotten worker");
            expect(error.block).to.contain("the source was stopped and was started again: it serves as before");
        });
        expect(await synapse.homeserver.answers()).to.equal(true);
        expect(await source.commandLine()).to.equal(before);
        expect(await readFenceHolder(join(synapse.directory, "runs"))).to.equal(undefined);
        expect(await source.settings()).to.deep.equal([]);
        const kinds = (await attempt.journal.read()).map(({ kind }) => kind);
        expect(kinds).to.deep.equal(["undo", "undone"]);
    });

    it("takes a writer between its two readings for what it is, and gives the source back", async () => {
        const attempt = testRun("writer", runOf(synapse, "writer").directory);
        await prepareRunDirectory(attempt.directory);
        const failing = expectError("SM-E0702", () => fence.act(spec("writer"), attempt));
        // It is read-only from just before the first reading on, which is followed by two seconds.
        await untilTrue(async () => (await source.settings()).length > 0);
        await source.writeUntilEnd(failing);
        const { found } = (await failing).detail;
        expect(found).to.contain("the database still changes").and.to.contain("events_stream_seq");
        expect(await synapse.homeserver.answers()).to.equal(true);
    });

    it("gives the source back when it is stopped half-way", async () => {
        const stop = new AbortController();
        const attempt = testRun("aborted", runOf(synapse, "aborted").directory, stop.signal);
        await prepareRunDirectory(attempt.directory);
        const acting = fence.act(spec("aborted"), attempt).catch((error: unknown) => error);
        await untilTrue(() => Promise.resolve(attempt.actions.has("fenced-at")));
        stop.abort(new Error("SIGTERM"));
        expect(await acting).to.have.property("message", "SIGTERM");
        expect(attempt.said.join()).to.contain("it serves as before");
        expect(await synapse.homeserver.answers()).to.equal(true);
        expect(await readFenceHolder(join(synapse.directory, "runs"))).to.equal(undefined);
    });

    it("says loudly when the source cannot be started again, and its undo tries once more", async () => {
        const away = `${synapse.homeserver.files.configFile}.away`;
        const attempt = testRun("lost", runOf(synapse, "lost").directory);
        await prepareRunDirectory(attempt.directory);
        const stop = fence.act(spec("lost"), attempt).catch((error: unknown) => error);
        await untilTrue(async () => (await source.settings()).length > 0);
        await rename(synapse.homeserver.files.configFile, away);
        await source.writeUntilEnd(stop);
        const error = await stop;
        await rename(away, synapse.homeserver.files.configFile);
        expect(error).to.be.instanceOf(MigrationError);
        expect((error as MigrationError).block).to.contain("THE SOURCE IS DOWN");
        await fence.undo?.(spec("lost"), attempt);
        expect(await synapse.homeserver.answers()).to.equal(true);
    });

    it("leaves the source stopped where an earlier run has fenced it: its target may serve", async () => {
        await done(fence, spec("first"), fenceContract.result);
        await source.withSession(async () => {
            const error = await expectError("SM-E0702", () => done(fence, spec("second"), fenceContract.result));
            expect(error.block).to.contain("an earlier run has fenced it");
        });
        expect(await synapse.homeserver.answers()).to.equal(false);
        await undone(fence, spec("second"));
        expect(await synapse.homeserver.answers()).to.equal(true);
    });

    it("starts the target's own server when it does not run, and stops the source only then", async () => {
        const { postgres } = await ensureToolchain({ postgres: true }, () => undefined);
        const directory = join(synapse.directory, "target-database");
        const server = { kind: "managed" as const, directory, port: 0, programs: postgres?.directory ?? "" };
        const made = {
            run: runOf(synapse, "target"),
            source: sourceOf(synapse),
            name: "moved",
            owner: "moved",
            server,
        };
        const { database: target } = await done(database, made, databaseContract.result);
        await stopCluster(server);
        const withTarget = { ...spec("target"), target: { database: target, serverDirectory: directory } };
        const other = { ...withTarget, run: runOf(synapse, "foreign") };
        const before = await source.processId();
        const foreign = await expectError("SM-E0708", () => done(fence, other, fenceContract.result));
        expect(foreign.block).to.contain("nothing: the source was not stopped");
        const silent = { ...withTarget, target: { database: { ...target, port: await freePort() } } };
        await expectError("SM-E1102", () =>
            done(fence, { ...silent, run: runOf(synapse, "silent") }, fenceContract.result),
        );
        expect(await source.processId()).to.equal(before);
        expect(await isClusterRunning(directory)).to.equal(false);

        await synapse.cluster.administer(
            "CREATE FUNCTION public.of_c(cstring) RETURNS int LANGUAGE internal AS 'int4in'",
        );
        const untried = await expectError("SM-E0561", () => done(fence, withTarget, fenceContract.result));
        expect(untried.block).to.contain("nothing: the source was not stopped");
        expect(await source.processId()).to.equal(before);
        await synapse.cluster.administer("DROP FUNCTION public.of_c(cstring)");

        await done(fence, withTarget, fenceContract.result);
        expect(await isClusterRunning(directory)).to.equal(true);
        await undone(fence, withTarget);
        await undone(database, made);
        expect(await isClusterRunning(directory)).to.equal(false);
    });
});
