import { expect } from "chai";
import { inspectDatabase } from "../../../../engine/postgres/databases/databaseState.ts";
import { advanceMarker, createMarker, readMarker } from "../../../../engine/postgres/databases/marker.ts";
import { withClient } from "../../../../engine/postgres/connection.ts";
import { testCluster, type TestCluster } from "../../../support/cluster.ts";
import { expectError } from "../../../support/expectError.ts";

/** What a role that owns a marker can make of it, as the marker of an earlier version of this program is owned by the database's owner. */
const traps: readonly (readonly [title: string, statements: string, told: RegExp])[] = [
    [
        "a trigger",
        "CREATE TRIGGER spring BEFORE UPDATE ON synapse_migration.marker FOR EACH ROW EXECUTE FUNCTION public.spring()",
        /trigger spring/,
    ],
    [
        "a rule",
        "CREATE RULE spring AS ON UPDATE TO synapse_migration.marker DO ALSO INSERT INTO public.ran VALUES (current_user)",
        /rule spring/,
    ],
    [
        "a view in its place",
        `ALTER TABLE synapse_migration.marker RENAME TO kept;
        CREATE VIEW synapse_migration.marker AS SELECT only_row, public.say(run) AS run, server_name, state, created_at, updated_at FROM synapse_migration.kept`,
        /relation of kind v/,
    ],
    [
        "a CHECK",
        "ALTER TABLE synapse_migration.marker ADD CONSTRAINT spring CHECK (public.say(state) <> '') NOT VALID",
        /constraint spring/,
    ],
    ["an index", "CREATE INDEX spring ON synapse_migration.marker (public.say(state))", /index spring/],
    [
        "a policy",
        "ALTER TABLE synapse_migration.marker ENABLE ROW LEVEL SECURITY; CREATE POLICY spring ON synapse_migration.marker USING (public.say(run) <> '')",
        /row security, policy spring/,
    ],
    ["a child", "CREATE TABLE public.child () INHERITS (synapse_migration.marker)", /inheritance/],
    [
        "a column of a type of its own",
        `CREATE TYPE public.word AS (word text);
        CREATE FUNCTION public.say(public.word) RETURNS text LANGUAGE plpgsql AS $$BEGIN PERFORM public.note(); RETURN 'r1'; END$$;
        CREATE CAST (public.word AS text) WITH FUNCTION public.say(public.word);
        ALTER TABLE synapse_migration.marker ALTER run TYPE public.word USING ROW(run)::public.word`,
        /columns .*public\.word/,
    ],
    [
        "a foreign key to it",
        "CREATE TABLE public.child (only_row boolean REFERENCES synapse_migration.marker ON UPDATE CASCADE)",
        /trigger RI_/,
    ],
];

describe("the marker of a database whose owner is not to be trusted", function () {
    this.timeout(60_000);
    let cluster: TestCluster;

    before(async () => {
        cluster = await testCluster();
    });

    /** With functions of the owner that write down who runs them. */
    const made = async (): Promise<string> => {
        const name = await cluster.createDatabase("empty", cluster.newName("marked"));
        await cluster.query(
            name,
            `CREATE TABLE public.ran (role text); GRANT ALL ON public.ran TO PUBLIC;
            CREATE FUNCTION public.note() RETURNS void LANGUAGE sql AS 'INSERT INTO public.ran VALUES (current_user)';
            CREATE FUNCTION public.say(text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$BEGIN PERFORM public.note(); RETURN $1; END$$;
            CREATE FUNCTION public.spring() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN PERFORM public.note(); RETURN NEW; END$$`,
            "synapse",
        );
        return name;
    };
    const as = (user: string, name: string) => ({ address: cluster.address(name, user), session: { step: "test" } });
    const mark = (name: string, user: string) =>
        withClient(cluster.address(name, user), { step: "test" }, (client) =>
            createMarker(client, "r1", "rehearsal.test", "restored"),
        );
    const advance = (name: string, user: string) =>
        withClient(cluster.address(name, user), { step: "test" }, (client) =>
            advanceMarker(client, "r1", ["restored"], "verified"),
        );
    const ran = async (name: string) =>
        (await cluster.query(name, "SELECT DISTINCT role FROM public.ran ORDER BY 1")).map(({ role }) => role);
    const refusal = (work: Promise<unknown>): Promise<string> =>
        work.then(
            () => "nothing was refused",
            (error: unknown) => String(error),
        );

    for (const admin of ["postgres", "migrator"]) {
        it(`can be read by the owner, and not changed, where ${admin} has made it`, async () => {
            const name = await made();
            await mark(name, admin);
            const { address, session } = as("synapse", name);
            expect((await withClient(address, session, readMarker))?.state).to.equal("restored");
            const attempts = [
                ...["UPDATE synapse_migration.marker SET state = 'committed'", "DROP TABLE synapse_migration.marker"],
                ...["DROP SCHEMA synapse_migration CASCADE", "ALTER SCHEMA synapse_migration RENAME TO gone"],
                ...["TRUNCATE synapse_migration.marker", "ALTER TABLE synapse_migration.marker OWNER TO synapse"],
                ...["DELETE FROM synapse_migration.marker", "ALTER TABLE synapse_migration.marker RENAME TO gone"],
                ...traps.map(([, statements]) => statements),
            ];
            for (const attempt of attempts)
                expect(await refusal(cluster.query(name, attempt, "synapse")), attempt).to.match(
                    /permission denied|must be owner/,
                );
            expect((await advance(name, admin)).state).to.equal("verified");
            expect(await ran(name)).to.deep.equal([]);
        });

        it(`is taken from the owner, as earlier versions have left it, when ${admin} moves it on`, async () => {
            const name = await made();
            await mark(name, "synapse");
            await cluster.query(name, "GRANT ALL ON synapse_migration.marker TO PUBLIC", "synapse");
            const { address, session } = as(admin, name);
            expect((await withClient(address, session, readMarker))?.run).to.equal("r1");
            expect((await advance(name, admin)).state).to.equal("verified");
            const [trigger = [""]] = traps;
            expect(await refusal(cluster.query(name, trigger[1] ?? "", "synapse"))).to.match(/permission denied/);
            const [granted] = await cluster.query(
                name,
                "SELECT relacl::text AS acl FROM pg_class WHERE relname = 'marker'",
            );
            expect(granted?.["acl"]).to.equal(`{${admin}=arwdDxt/${admin},synapse=r/${admin}}`);
            // A copy that was begun goes on beside it.
            await cluster.query(name, "CREATE TABLE synapse_migration.copy (state text)", "synapse");
        });
    }

    for (const [title, statements, told] of traps)
        it(`is neither read nor moved on nor made again by who has more rights when it has become a trap: ${title}`, async () => {
            const name = await made();
            await mark(name, "synapse");
            await cluster.query(name, statements, "synapse");
            await cluster.query(name, "TRUNCATE public.ran", "synapse");
            const { address, session } = as("postgres", name);
            for (const work of [
                () => withClient(address, session, readMarker),
                () => inspectDatabase(cluster.superuserAddress(), name, session),
                () => advance(name, "postgres"),
                () => mark(name, "postgres"),
            ])
                expect((await expectError("SM-E0730", work)).detail.found).to.match(told);
            expect(await ran(name)).to.deep.equal([]);
        });

    it("is made in a schema of its name that the owner has made before, which is the owner's no longer", async () => {
        const name = await made();
        await cluster.query(
            name,
            "CREATE SCHEMA synapse_migration; CREATE TABLE synapse_migration.copy (a int)",
            "synapse",
        );
        await mark(name, "migrator");
        expect(await refusal(cluster.query(name, "DROP SCHEMA synapse_migration CASCADE", "synapse"))).to.match(
            /must be owner/,
        );
        await cluster.query(name, "DROP TABLE synapse_migration.copy", "synapse");
    });
});
