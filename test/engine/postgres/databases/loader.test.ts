import { expect } from "chai";
import type { TargetDatabase } from "../../../../contract/index.ts";
import { withClient } from "../../../../engine/postgres/connection.ts";
import { dropIncoming, makeIncoming } from "../../../../engine/postgres/databases/incomingDatabase.ts";
import { loaderOf } from "../../../../engine/postgres/databases/loader.ts";
import { testCluster, type TestCluster } from "../../../support/cluster.ts";

const options = { step: "test" };
const run = "r1";

describe("who loads a database of an installed homeserver", () => {
    let cluster: TestCluster;
    let name: string;
    let incoming: string;

    before(async function () {
        this.timeout(120_000);
        cluster = await testCluster();
    });
    beforeEach(async () => {
        name = await cluster.createDatabase();
        incoming = `${name}_incoming_${run}`;
    });
    afterEach(() => dropIncoming(cluster.superuserAddress(), incoming, run, options));

    const as = (user: string): Promise<TargetDatabase> => cluster.installed(name, user);
    const roles = async (): Promise<unknown[]> =>
        cluster.query("postgres", `SELECT rolsuper AS super FROM pg_roles WHERE rolname = '${incoming}'`);
    const make = (role: string): Promise<void> =>
        makeIncoming(cluster.superuserAddress(), incoming, role, run, options);

    it("is Synapse's own role, where that is no superuser", async () => {
        const { address, role, handOver } = await loaderOf(await as("synapse"), incoming, options);
        expect([address.user, address.name, role]).to.deep.equal(["synapse", incoming, "synapse"]);
        await handOver();
        expect(await roles()).to.deep.equal([]);
    });

    it("is a role of ours in place of a superuser, and what it has made is Synapse's in the end", async () => {
        const loader = await loaderOf(await as("postgres"), incoming, options);
        await make(loader.role);
        expect(await roles()).to.deep.equal([{ super: false }]);
        await withClient(loader.address, options, (client) => client.query("CREATE TABLE public.t AS SELECT 1 AS x"));
        await loader.handOver();
        expect(await roles()).to.deep.equal([]);
        const owners = await cluster.query(
            incoming,
            `SELECT tableowner::text AS of, (SELECT pg_get_userbyid(datdba)::text FROM pg_database WHERE datname = '${incoming}') AS database
            FROM pg_tables WHERE tablename = 't'`,
        );
        expect(owners).to.deep.equal([{ of: "postgres", database: "postgres" }]);
    });

    it("goes on after a kill under a new password, and is gone with the database", async () => {
        const target = await as("postgres");
        const killed = await loaderOf(target, incoming, options);
        await make(killed.role);
        await withClient(killed.address, options, (client) => client.query("CREATE TABLE public.t ()"));
        const { address } = await loaderOf(target, incoming, options);
        expect(address.password).not.to.equal(killed.address.password);
        await withClient(address, options, (client) => client.query("DROP TABLE public.t"));
        await dropIncoming(cluster.superuserAddress(), incoming, run, options);
        expect(await roles()).to.deep.equal([]);
    });

    it("is gone as well where no database was made for it", async () => {
        await loaderOf(await as("postgres"), incoming, options);
        await dropIncoming(cluster.superuserAddress(), incoming, run, options);
        expect(await roles()).to.deep.equal([]);
    });
});
