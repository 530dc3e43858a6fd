import { readFile, writeFile } from "node:fs/promises";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { join } from "node:path";
import { expect } from "chai";
import { fenceChecks } from "../../../engine/assess/fenceChecks.ts";
import { refuseObstacles } from "../../../engine/fence/lookBeforeFence.ts";
import { withClient } from "../../../engine/postgres/connection.ts";
import {
    clusterPaths,
    ensureCluster,
    removeCluster,
    stopCluster,
} from "../../../engine/postgres/server/managedCluster.ts";
import { makeRehearsalDirectory, removeRehearsalDirectory } from "../../../rehearsal/directory.ts";
import { startCluster, type TestCluster } from "../../support/cluster.ts";
import { expectError } from "../../support/expectError.ts";
import { untilItPasses } from "../../support/waiting.ts";
import { fakeSynapse } from "../services/fakeSynapse.ts";
import { findingsOf } from "./runCheck.ts";

describe("what only the fence would meet", () => {
    let cluster: TestCluster;
    before(async () => {
        cluster = await startCluster({ settings: { max_prepared_transactions: "2" } });
    });
    after(() => cluster.stop());

    /** A source's database with a table of its own. */
    async function source() {
        const name = await cluster.createDatabase("empty");
        await cluster.query(name, "CREATE TABLE users (name text)", "synapse");
        return { name, spec: { source: await cluster.source(name) } };
    }
    const look = async (id: string, { name, spec }: Awaited<ReturnType<typeof source>>, user = "synapse") =>
        (await findingsOf(fenceChecks, id, cluster.address(name, user), spec)).map(
            ({ id: code, severity, evidence }) => `${code} ${severity} ${evidence.replace(/^[^:]*: /, "")}`,
        );

    it("is not there in a source that can be fenced, and not looked for in a rehearsal", async () => {
        const healthy = await source();
        for (const { id } of fenceChecks) expect(await look(id, healthy), id).to.deep.equal([]);
        await cluster.query(healthy.name, "CREATE TABLE of_somebody_else (id int)");
        expect(await look("fence-rights", healthy)).to.have.length(1);
        const rehearsal = { ...healthy, spec: { ...healthy.spec, rehearsal: true } };
        expect(await look("fence-rights", rehearsal)).to.deep.equal([]);
    });

    it("are sessions of another role beside the homeserver's, of which SM-W0720 warns", async () => {
        const { name, spec } = await source();
        const { host, port, password } = cluster.address(name);
        const session = (user: string, work: () => Promise<void>) =>
            withClient({ host, port, name, user, password }, { step: "test" }, async (client) => {
                await client.query("SET application_name = 'metabase'");
                await work();
            });
        await session("synapse", () =>
            session("migrator", async () => {
                const [foreign, unknown] = await look("fence-sessions", { name, spec });
                expect(foreign).to.match(/^SM-W0720 warning pid \d+, application "metabase", role migrator/);
                // No homeserver runs that the other could be told from.
                expect(unknown).to.match(/^SM-W0725 warning pid \d+, application "metabase", role synapse/);
                expect(unknown).to.contain(`held by process ${process.pid}`);
            }),
        );
    });

    it("are prepared transactions, of which SM-W0721 warns, and which the fence refuses (SM-E0721)", async () => {
        const prepared = await source();
        await cluster.query(prepared.name, "BEGIN; INSERT INTO users VALUES ('x'); PREPARE TRANSACTION 'left over'");
        try {
            const [found] = await look("fence-prepared-transactions", prepared);
            expect(found).to.match(/^SM-W0721 warning "left over" of postgres, since 20/);
            const { signal } = new AbortController();
            const address = cluster.address(prepared.name);
            await expectError("SM-E0721", () => refuseObstacles(prepared.spec.source, address, signal));
        } finally {
            await cluster.query(prepared.name, "ROLLBACK PREPARED 'left over'");
        }
    });

    it("are rights, which SM-E0723 misses: of the database's owner, and on every table", async () => {
        const theirs = await source();
        await cluster.query(theirs.name, "CREATE TABLE dashboards (id int)");
        expect(await look("fence-rights", theirs)).to.deep.equal([
            'SM-E0723 error role synapse may not lock "public"."dashboards" of postgres',
        ]);
        expect(await look("fence-rights", theirs, "postgres")).to.deep.equal([]);
        await cluster.query(theirs.name, "GRANT UPDATE ON dashboards TO synapse");
        expect(await look("fence-rights", theirs)).to.deep.equal([]);
        await cluster.query("postgres", `ALTER DATABASE ${theirs.name} OWNER TO postgres`);
        expect((await look("fence-rights", theirs)).join()).to.contain("does not own the database, postgres does");
    });

    it("is a role's own setting, which SM-E0724 names with the statement that takes it back", async () => {
        const exempt = await source();
        const set = (how: string) => cluster.query("postgres", `ALTER ROLE synapse ${how}`);
        const fixes = async () =>
            (await findingsOf(fenceChecks, "fence-read-only", cluster.address(exempt.name), exempt.spec)).map(
                ({ id, fix }) => `${id} ${fix.split(";")[0] ?? ""}`,
            );
        await set("SET default_transaction_read_only = off");
        await set(`IN DATABASE ${exempt.name} SET default_transaction_read_only = false`);
        await set("IN DATABASE postgres SET default_transaction_read_only = off");
        try {
            expect(await fixes()).to.deep.equal([
                'SM-E0724 ALTER ROLE "synapse" RESET default_transaction_read_only',
                `SM-E0724 ALTER ROLE "synapse" IN DATABASE "${exempt.name}" RESET default_transaction_read_only`,
            ]);
        } finally {
            await set("RESET default_transaction_read_only");
            await set(`IN DATABASE ${exempt.name} RESET default_transaction_read_only`);
            await set("IN DATABASE postgres RESET default_transaction_read_only");
        }
        await set("SET default_transaction_read_only = on");
        expect(await fixes()).to.deep.equal([]);
        await set("RESET default_transaction_read_only");
    });

    it("is a listening socket that a process holds, too, which does not end with the homeserver (SM-E0726)", async () => {
        const fake = await fakeSynapse();
        const { name, spec } = await source();
        const service = { kind: "process" as const, pidFile: fake.pidFile };
        const listeners = () => look("fence-listeners", { name, spec: { source: { ...spec.source, service } } });
        // As systemd does it: whoever listens first hands the socket over, and keeps it.
        const holder = createServer().listen(0, "127.0.0.1");
        await once(holder, "listening");
        const { _handle: handle } = holder as unknown as { _handle: { fd: number } };
        try {
            await fake.configure({ port: 0, children: ["stubborn"] });
            await fake.start();
            // What its children hold ends with it.
            expect(await listeners()).to.deep.equal([]);
            const [program = "", ...args] = fake.argv.filter((word) => word !== "--daemonize");
            const activated = spawn(program, args, {
                env: { ...process.env, PYTHONPATH: join(fake.directory, "packages") },
                stdio: ["ignore", "ignore", "ignore", handle.fd],
            });
            await once(activated, "spawn");
            await writeFile(fake.pidFile, String(activated.pid));
            const [found] = await untilItPasses(async () => {
                const seen = await listeners();
                expect(seen).to.have.length(1);
                return seen;
            });
            expect(found).to.match(new RegExp(`^SM-E0726 error port \\d+: process ${process.pid}: `));
        } finally {
            holder.close();
            await fake.remove();
        }
    });

    it("is a standby (SM-E0722)", async () => {
        const directory = makeRehearsalDirectory();
        const server = { directory: join(directory, "standby"), port: 0, programs: cluster.programs };
        try {
            const { port } = await ensureCluster(server, "r1", "rehearsal.test");
            await stopCluster(server);
            const { data, adminPassword } = clusterPaths(server.directory);
            await writeFile(join(data, "standby.signal"), "");
            await ensureCluster(server, "r1", "rehearsal.test");
            const address = {
                host: "127.0.0.1",
                port,
                name: "postgres",
                user: "postgres",
                password: (await readFile(adminPassword, "utf8")).trim(),
            };
            const found = await findingsOf(fenceChecks, "fence-standby", address);
            expect(found.map(({ id, severity }) => `${id} ${severity}`)).to.deep.equal(["SM-E0722 error"]);
        } finally {
            await removeCluster(server);
            await removeRehearsalDirectory(directory);
        }
    });
});
