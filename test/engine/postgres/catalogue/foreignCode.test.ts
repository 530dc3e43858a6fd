import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect } from "chai";
import { databaseChecks } from "../../../../engine/assess/databaseChecks.ts";
import { foreignCode } from "../../../../engine/postgres/catalogue/foreignCode.ts";
import { withClient } from "../../../../engine/postgres/connection.ts";
import { runProgram } from "../../../../engine/machines/program.ts";
import { targetPython } from "../../../support/bundle.ts";
import { testCluster, type TestCluster } from "../../../support/cluster.ts";

/** Statements, as the owner or a superuser, and the names of what they make. */
const cases: readonly (readonly [title: string, statements: string, names: readonly string[], user?: "postgres"])[] = [
    [
        "a function, and an aggregate of it",
        `CREATE FUNCTION public.f(integer, integer) RETURNS integer LANGUAGE sql AS 'SELECT 1';
        CREATE AGGREGATE public.total(integer) (SFUNC = public.f, STYPE = integer)`,
        ["aggregate public.total(integer)", "function public.f(integer,integer)"],
    ],
    [
        "a function under the name of one of Synapse's",
        `CREATE OR REPLACE FUNCTION public.check_partial_state_events() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN NEW; END$$`,
        ["function public.check_partial_state_events()"],
    ],
    [
        "Synapse's own function with more rights",
        "ALTER FUNCTION public.check_partial_state_events() SECURITY DEFINER",
        ["function public.check_partial_state_events()"],
    ],
    [
        "Synapse's own function under another search path",
        "ALTER FUNCTION public.check_partial_state_events() SET search_path = evil",
        ["function public.check_partial_state_events()"],
    ],
    [
        "a function in the schema of the marker",
        `CREATE SCHEMA synapse_migration; CREATE FUNCTION synapse_migration.f() RETURNS integer LANGUAGE sql AS 'SELECT 1'`,
        ["function synapse_migration.f()"],
    ],
    [
        "a trigger that calls one of Synapse's functions for another table",
        `CREATE TRIGGER "Odd" BEFORE INSERT ON public.users FOR EACH ROW EXECUTE FUNCTION public.check_partial_state_events()`,
        ['trigger public.users: "Odd"'],
    ],
    [
        "one of Synapse's triggers that fires for replicas, too",
        "ALTER TABLE public.partial_state_events ENABLE ALWAYS TRIGGER check_partial_state_events",
        ["replica trigger public.partial_state_events: check_partial_state_events"],
    ],
    ["a rule", "CREATE RULE r AS ON DELETE TO public.users DO INSTEAD NOTHING", ["rule public.users: r"]],
    [
        "views",
        "CREATE VIEW public.v AS SELECT 1 AS n; CREATE MATERIALIZED VIEW public.m AS SELECT 1 AS n",
        ["materialized view public.m", "view public.v"],
    ],
    [
        "row security",
        "ALTER TABLE public.users ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON public.users USING (true)",
        ["policy public.users: p", "row security public.users"],
    ],
    [
        "a CHECK that has PostgreSQL itself run SQL",
        `ALTER TABLE public.users ADD CONSTRAINT c CHECK (query_to_xml('SELECT 1', true, true, '') IS NOT NULL)`,
        ["check public.users: c"],
    ],
    [
        "defaults and indexes that do more than compute",
        `ALTER TABLE public.users ADD d text DEFAULT set_config('search_path', 'public', false);
        CREATE FUNCTION public.f(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT $1';
        CREATE INDEX i ON public.users (public.f(name)); CREATE INDEX j ON public.users (name) WHERE public.f(name) = 'x';
        CREATE STATISTICS public.s ON public.f(name), name FROM public.users`,
        [
            ...["default public.users.d", "function public.f(text)", "index public.i", "index public.j"],
            "statistics public.s",
        ],
    ],
    ["a domain with a CHECK", "CREATE DOMAIN public.d AS text CHECK (VALUE <> '')", ["domain public.d"]],
    [
        "a cast and an operator",
        `CREATE TYPE public.pair AS (a integer, b integer);
        CREATE FUNCTION public.f(public.pair) RETURNS text LANGUAGE sql AS $$SELECT 'x'$$;
        CREATE CAST (public.pair AS text) WITH FUNCTION public.f(public.pair);
        CREATE OPERATOR public.! (RIGHTARG = public.pair, FUNCTION = public.f)`,
        ["cast public.pair AS text", "function public.f(public.pair)", "operator public.!(NONE,public.pair)"],
    ],
    ["an extension", "CREATE EXTENSION hstore SCHEMA public", ["extension hstore"]],
    [
        "what only a superuser makes",
        `CREATE FUNCTION public.e() RETURNS event_trigger LANGUAGE plpgsql AS $$BEGIN END$$;
        CREATE EVENT TRIGGER e ON ddl_command_end EXECUTE FUNCTION public.e();
        CREATE FOREIGN DATA WRAPPER w; CREATE SERVER s FOREIGN DATA WRAPPER w; CREATE FOREIGN TABLE public.t (a integer) SERVER s`,
        [
            ...["event trigger e", "foreign data wrapper w", "foreign server s", "foreign table public.t"],
            "function public.e()",
        ],
        "postgres",
    ],
];

describe("code that Synapse does not have", function () {
    this.timeout(120_000);
    let cluster: TestCluster;

    before(async () => {
        cluster = await testCluster();
    });

    const found = (name: string, accepted: readonly string[] = []): Promise<string[]> =>
        withClient(cluster.address(name), { step: "test", readOnly: true }, (client) => foreignCode(client, accepted));

    it("is not found in the database of a Synapse", async () => {
        expect(await found(await cluster.createDatabase("synapse"))).to.deep.equal([]);
        expect(await found(await cluster.createDatabase("empty"))).to.deep.equal([]);
    });

    for (const [title, statements, names, user] of cases)
        it(`is found by its name, until the name is accepted: ${title}`, async () => {
            const name = await cluster.createDatabase("synapse");
            await cluster.query(name, statements, user ?? "synapse");
            expect(await found(name)).to.deep.equal(names);
            expect(await found(name, names.slice(1))).to.deep.equal(names.slice(0, 1));
        });

    it("is not what computes with PostgreSQL's own functions alone, and no type without code", async () => {
        const name = await cluster.createDatabase("synapse");
        await cluster.query(
            name,
            `ALTER TABLE public.users ADD CONSTRAINT c CHECK (length(name) > 0), ADD at timestamptz DEFAULT clock_timestamp(),
                ADD twice integer GENERATED ALWAYS AS (admin * 2) STORED, ADD n bigserial;
            CREATE INDEX i ON public.users (lower(name)); CREATE TYPE public.mood AS ENUM ('fine')`,
            "synapse",
        );
        expect(await found(name)).to.deep.equal([]);
    });

    it("blocks an assessment and an import, each by its name, until it is accepted", async () => {
        const name = await cluster.createDatabase("synapse");
        await cluster.query(
            name,
            "CREATE VIEW public.v AS SELECT 1 AS n; CREATE VIEW public.w AS SELECT 1 AS n",
            "synapse",
        );
        const check = databaseChecks.find(({ id }) => id === "foreign-code");
        if (check === undefined) throw new Error("there is no such check");
        const context = { targetSynapse: { version: "1", schema: 1, compat: 1 }, foreignCode: ["view public.w"] };
        const findings = await withClient(cluster.address(name), { step: "test", readOnly: true }, (client) =>
            check.run({ client, ...context }),
        );
        if (findings === "not-run") throw new Error("the check did not run");
        expect(findings.map(({ id, severity, evidence }) => ({ id, severity, evidence }))).to.deep.equal([
            {
                id: "SM-E0545",
                severity: "error",
                evidence: "the database holds code that Synapse does not have: view public.v",
            },
        ]);
    });

    it("is not what older and newer schemas of Synapse have, as Synapse's own files make it", async () => {
        const { stdout } = await runProgram(
            await targetPython(),
            ["-c", "import synapse, os; print(os.path.dirname(synapse.__file__))"],
            { timeoutSeconds: 30 },
        );
        const deltas = join(stdout.trim(), "storage/schema/main/delta");
        const statements = async (file: string): Promise<string[]> => {
            const text = await readFile(join(deltas, file), "utf8");
            const made = text.matchAll(
                /CREATE OR REPLACE (?:FUNCTION[^$]*(\$\w*\$)[\s\S]*?\1\s*LANGUAGE plpgsql|RULE[^;]*)|CREATE TRIGGER (?!IF NOT)[^;"]*\(\)/g,
            );
            return [...made].map(([statement]) => statement);
        };
        const files = [
            ...["60/01recreate_stream_ordering.sql.postgres", "61/03recreate_min_depth.py"],
            ...["79/05_read_write_locks_triggers.sql.postgres", "80/03_read_write_locks_triggers.sql.postgres"],
            "80/04_read_write_locks_deadlock.sql.postgres",
        ];
        for (const file of files) {
            const name = await cluster.createDatabase("synapse");
            const made = await statements(file);
            expect(made, file).to.have.length.greaterThan(0);
            await cluster.query(
                name,
                `ALTER TABLE events ADD stream_ordering2 bigint; ALTER TABLE room_depth ADD min_depth2 bigint;
                DROP TRIGGER upsert_read_write_lock_parent_trigger ON worker_read_write_locks;
                DROP TRIGGER delete_read_write_lock_parent_trigger ON worker_read_write_locks`,
                "synapse",
            );
            for (const statement of made) await cluster.query(name, statement, "synapse");
            expect(await found(name), file).to.deep.equal([]);
        }
    });
});
