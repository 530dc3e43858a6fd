import { expect } from "chai";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, chown, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { z } from "zod";
import type { SelfHostedSource } from "../../../../contract/index.ts";
import { replicationChecks } from "../../../../engine/assess/replicationChecks.ts";
import { foreignSessions } from "../../../../engine/fence/writingSessions.ts";
import { closeMachines } from "../../../../engine/machines/openMachine.ts";
import { readPasswd, serviceUser, userName, type ServiceUser } from "../../../../engine/machines/serviceUser.ts";
import { query, withClient, type DatabaseAddress } from "../../../../engine/postgres/connection.ts";
import { isHere } from "../../../../engine/postgres/databaseAddress.ts";
import { connectionEnvironment } from "../../../../engine/postgres/databaseTls.ts";
import { sourceAddress } from "../../../../engine/postgres/databases/sourceDatabase.ts";
import { runDatabaseProgram } from "../../../../engine/postgres/server/clientPrograms.ts";
import { findingsOf } from "../../assess/runCheck.ts";
import { startCluster, testServerName, type TestCluster } from "../../../support/cluster.ts";
import { expectError } from "../../../support/expectError.ts";
import { newRun } from "../../../support/migrationDump.ts";
import { untilTrue } from "../../../support/waiting.ts";

const options = { step: "test", readOnly: true, statementSeconds: 0 };

describe("a source's database with peer authentication, on this machine", () => {
    let cluster: TestCluster;
    let directory: string;
    let user: ServiceUser;
    let userCalled: string;

    before(async function () {
        this.timeout(120_000);
        const asRoot = serviceUser();
        // As the only user that we can be there would be nobody to relay as.
        if (asRoot === undefined) this.skip();
        user = asRoot;
        userCalled = userName(readPasswd(), user.uid) ?? "nobody";
        directory = await mkdtemp(join(tmpdir(), "synapse-migration-test-"));
        await chmod(directory, 0o711);
        for (const name of ["sockets", "media"]) {
            await mkdir(join(directory, name));
            await chown(join(directory, name), user.uid, user.gid);
        }
        const [rules, names] = [join(directory, "pg_hba.conf"), join(directory, "pg_ident.conf")];
        await writeFile(
            rules,
            `local all mapped peer map=homeserver\nlocal all "${userCalled}",stranger peer\nhost all all 127.0.0.1/32 scram-sha-256\n`,
        );
        await writeFile(names, `homeserver "${userCalled}" mapped\n`);
        cluster = await startCluster({
            settings: {
                unix_socket_directories: join(directory, "sockets"),
                hba_file: rules,
                ident_file: names,
            },
        });
        await cluster.query(
            "postgres",
            `CREATE ROLE "${userCalled}" LOGIN; CREATE ROLE mapped LOGIN; CREATE ROLE stranger LOGIN`,
        );
        await cluster.createDatabase("empty", "matrix");
        await cluster.query(
            "matrix",
            `ALTER DATABASE matrix OWNER TO "${userCalled}"; CREATE TABLE t AS SELECT 1 AS x; GRANT SELECT ON t TO PUBLIC`,
        );
    });
    afterEach(() => closeMachines());
    after(async () => {
        if (serviceUser() === undefined) return;
        await cluster.stop();
        await rm(directory, { recursive: true });
    });

    const source = async (role: string): Promise<SelfHostedSource> => {
        const config = join(directory, `homeserver-${role}.yaml`);
        const args = { host: join(directory, "sockets"), port: cluster.port, dbname: "matrix", user: role };
        const content = {
            server_name: testServerName,
            media_store_path: join(directory, "media"),
            database: { name: "psycopg2", args },
        };
        await writeFile(config, JSON.stringify(content), { mode: 0o600 });
        return {
            kind: "selfHosted",
            serverName: testServerName,
            homeserverConfig: [config],
            machine: { kind: "local" },
            service: { kind: "process", pidFile: join(directory, "homeserver.pid") },
        };
    };
    const whoIs = (address: DatabaseAddress): Promise<unknown> =>
        withClient(address, options, async (client) =>
            query(client, z.object({ role: z.string() }), "SELECT session_user::text AS role"),
        );

    it("is reached as the user who is called as the role, and is of this machine", async () => {
        const address = await sourceAddress(await source(userCalled));
        expect(await whoIs(address)).to.deep.equal([{ role: userCalled }]);
        expect([address.via?.user, isHere(address)]).to.deep.equal([userCalled, true]);
        // Of a step that asks again, and of one after the relays have been closed.
        expect((await sourceAddress(await source(userCalled))).via).to.deep.equal(address.via);
        await closeMachines();
        expect(await whoIs(await sourceAddress(await source(userCalled)))).to.deep.equal([{ role: userCalled }]);
    });

    it("is reached, where pg_ident.conf maps names, as who owns the media store of a homeserver that is stopped", async () => {
        expect(await whoIs(await sourceAddress(await source("mapped")))).to.deep.equal([{ role: "mapped" }]);
    });

    it("has no session beside the program's own, through the relay or not", async () => {
        const address = await sourceAddress(await source(userCalled));
        await withClient(address, options, () =>
            withClient(address, options, async (client) => {
                expect(await foreignSessions(client)).to.deep.equal([]);
            }),
        );
    });

    it("is dumped by PostgreSQL's own programs, and a statement is cancelled through a connection of its own", async () => {
        const address = await sourceAddress(await source(userCalled));
        const { stdout } = await runDatabaseProgram(
            { address, directory: cluster.programs, program: "pg_dump", args: ["--schema-only"], step: "test" },
            await newRun(cluster),
        );
        expect(stdout).to.match(/CREATE TABLE public\.t/);
        const psql = spawn(
            join(cluster.programs, "psql"),
            ["-X", "-U", address.user, "-d", address.name, "-c", "SELECT pg_sleep(600)"],
            { env: connectionEnvironment(address), stdio: ["ignore", "ignore", "pipe"] },
        );
        let said = "";
        psql.stderr.on("data", (chunk: Buffer) => (said += chunk.toString()));
        const ended = once(psql, "close");
        const sleeps = "SELECT pid FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%' AND state = 'active'";
        await untilTrue(async () => (await cluster.query("postgres", sleeps)).length === 1);
        psql.kill("SIGINT");
        await ended;
        expect(said).to.match(/canceling statement due to user request/);
    });

    it("is no way for the target's server: the copy that follows asks for another one (SM-E1304)", async () => {
        const here = await source(userCalled);
        const found = await findingsOf(replicationChecks, "replication-source", await sourceAddress(here), {
            source: here,
            copy: { mode: "replicate" },
        });
        const [finding] = found.filter(({ id }) => id === "SM-E1304");
        expect(finding?.evidence).to.match(/lets role "\w+" in as system user \w+ alone/);
        expect(finding?.fix).to.match(/replicationAddress.*passwordFile/);
    });

    it("is refused where nobody who is known is let in, with who was tried and what was said (SM-E1442)", async () => {
        const { detail } = await expectError("SM-E1442", async () => sourceAddress(await source("stranger")));
        expect(detail.where).to.equal(`matrix@${join(directory, "sockets")}:${cluster.port} on this machine`);
        expect(detail.found.split("\n")).to.deep.equal([
            'role "stranger"',
            'as ourselves: Peer authentication failed for user "stranger"',
            "as user stranger: there is no user stranger",
            `as user ${userCalled}: Peer authentication failed for user "stranger"`,
        ]);
    });
});
