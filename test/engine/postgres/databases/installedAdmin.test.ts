import { expect } from "chai";
import { chmod, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import type { DatabaseAdmin } from "../../../../contract/index.ts";
import { closeMachines } from "../../../../engine/machines/openMachine.ts";
import { withClient } from "../../../../engine/postgres/connection.ts";
import { adminOf, decidedAdmin } from "../../../../engine/postgres/databases/installedAdmin.ts";
import { startCluster, testCluster, type TestCluster } from "../../../support/cluster.ts";
import { expectError, expectOneOf } from "../../../support/expectError.ts";

describe("who administers the server of an installed homeserver", () => {
    let cluster: TestCluster;
    /** Of a server with a socket that lets everybody in. */
    let sockets: string;
    let other: TestCluster;

    before(async function () {
        this.timeout(120_000);
        cluster = await testCluster();
        sockets = await mkdtemp(join(tmpdir(), "synapse-migration-test-"));
        await chmod(sockets, 0o777);
        const rules = join(sockets, "pg_hba.conf");
        await writeFile(rules, "local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n", { mode: 0o644 });
        other = await startCluster({ settings: { unix_socket_directories: sockets, hba_file: rules } });
    });
    afterEach(() => closeMachines());
    after(async () => {
        await other.stop();
        await rm(sockets, { recursive: true });
    });

    const bySocket = (): DatabaseAdmin => ({
        ...{ kind: "peer", role: "postgres", user: userInfo().username, socketDirectory: sockets },
    });

    it("is Synapse's own role where it may create databases, and else PostgreSQL's by its socket", async () => {
        const deployment = await other.source(await other.createDatabase());
        await other.query("postgres", "ALTER ROLE synapse CREATEDB");
        expect(await decidedAdmin({ deployment })).to.deep.equal({ kind: "owner" });
        await other.query("postgres", "ALTER ROLE synapse NOCREATEDB");
        // By the usual socket, at which there is none, or another server.
        await expectOneOf(["SM-E1442", "SM-E1608"], () => decidedAdmin({ deployment }));
    });

    it("is whom the stack names, at the server that Synapse connects to", async () => {
        const deployment = await other.source(await other.createDatabase());
        const admin = await decidedAdmin({ deployment, admin: bySocket() });
        expect(admin).to.deep.equal(bySocket());
        const { rows } = await withClient(await adminOf({ deployment, admin }), { step: "test" }, (client) =>
            client.query("SELECT current_user::text AS name"),
        );
        expect(rows).to.deep.equal([{ name: "postgres" }]);
    });

    it("is refused at a socket of another server, and in a container that does not run (SM-E1608)", async () => {
        const deployment = await cluster.source(await cluster.createDatabase());
        await symlink(join(sockets, `.s.PGSQL.${other.port}`), join(sockets, `.s.PGSQL.${cluster.port}`));
        const { detail } = await expectError("SM-E1608", () => decidedAdmin({ deployment, admin: bySocket() }));
        expect(detail.found).to.match(
            /^a server that was started at [-\d: .]+; the one that Synapse connects to was at [-\d: .]+$/,
        );
        const inContainer: DatabaseAdmin = {
            ...{ kind: "peer", role: "postgres", socketDirectory: "/var/run/postgresql", container: "nowhere" },
        };
        const nowhere = await expectError("SM-E1608", () => decidedAdmin({ deployment, admin: inContainer }));
        expect(nowhere.detail.found).to.equal("no such container runs");
    });
});
