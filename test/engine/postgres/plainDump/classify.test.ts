import { expect } from "chai";
import { classify } from "../../../../engine/postgres/plainDump/classify.ts";
import { nextItem } from "../../../../engine/postgres/plainDump/lexer.ts";
import type { Statement } from "../../../../engine/postgres/plainDump/statement.ts";

function classified(text: string): Statement {
    const lexed = nextItem(Buffer.from(`${text};`), 0);
    if (typeof lexed !== "object" || lexed.item.kind !== "statement") throw new Error(`no statement: ${text}`);
    return classify(lexed.item.tokens);
}

/** What pg_dump 9.6 to 18 writes, by the kind it is taken for. */
const allowed: Record<string, readonly string[]> = {
    setting: [
        "SET statement_timeout = 0",
        "SET idle_in_transaction_session_timeout = 0",
        "SET transaction_timeout = 0",
        "SET client_encoding = 'UTF8'",
        "SET standard_conforming_strings = on",
        "SET check_function_bodies = false",
        "SET xmloption = content",
        "SET default_with_oids = false",
        "SET default_tablespace = ''",
        "SET default_table_access_method = heap",
    ],
    searchPath: ["SELECT pg_catalog.set_config('search_path', '', false)", "SET search_path = public, pg_catalog"],
    copy: ['COPY public.users (name, "Odd Name") FROM stdin', "COPY users (name) FROM stdin"],
    table: [
        "CREATE TABLE public.users (\n name text,\n UNIQUE (name),\n CONSTRAINT x CHECK ((name <> ''::text))\n)",
        "CREATE UNLOGGED TABLE public.locks (\n a bigint DEFAULT nextval('s'::regclass) NOT NULL\n)",
        "CREATE TABLE public.t (\n a text\n)\nWITH (autovacuum_enabled='false')",
    ],
    object: [
        "CREATE SEQUENCE public.s\n    START WITH 1\n    INCREMENT BY 1\n    NO MINVALUE\n    NO MAXVALUE\n    CACHE 1",
        "CREATE FUNCTION public.f() RETURNS trigger\n    LANGUAGE plpgsql\n    AS $$ BEGIN SECURITY DEFINER; END $$",
        "CREATE FUNCTION public.f(a integer) RETURNS integer LANGUAGE sql IMMUTABLE AS $_$ SELECT $1; $_$",
        'CREATE FUNCTION "public"."f"() RETURNS "trigger"\n    LANGUAGE "plpgsql"\n    AS $$ BEGIN END $$',
        "CREATE TYPE public.mood AS ENUM ('a', 'b')",
        "CREATE TYPE public.pair AS (a integer, b text)",
        "CREATE DOMAIN public.d AS text",
        "CREATE VIEW public.v AS\n SELECT 1 AS x",
        "CREATE STATISTICS public.st (dependencies) ON a, b FROM public.t",
        "CREATE SCHEMA other",
        "CREATE FUNCTION public.f() RETURNS void LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'",
        "CREATE PROCEDURE public.f() LANGUAGE sql AS 'SELECT 1'",
        "CREATE AGGREGATE public.total(integer) (SFUNC = int4pl, STYPE = integer)",
        "CREATE RULE r AS ON INSERT TO public.t DO UPDATE public.t SET b = new.a WHERE (t.a = new.a)",
        "CREATE POLICY p ON public.t USING ((a = CURRENT_USER))",
        "ALTER TABLE public.t ENABLE ROW LEVEL SECURITY",
        "ALTER TABLE ONLY public.t FORCE ROW LEVEL SECURITY",
        "CREATE MATERIALIZED VIEW public.m AS SELECT 1 WITH NO DATA",
        "CREATE OR REPLACE VIEW public.v AS SELECT 1 AS x",
        "CREATE COLLATION public.c (provider = libc, locale = 'C')",
        "ALTER TABLE ONLY public.t ALTER COLUMN a SET DEFAULT nextval('public.s'::regclass)",
        "ALTER TABLE ONLY public.t ALTER COLUMN a SET (n_distinct=-0.02)",
        "ALTER TABLE public.t ALTER COLUMN a ADD GENERATED ALWAYS AS IDENTITY (SEQUENCE NAME public.t_a_seq START WITH 1)",
        "ALTER TABLE public.t CLUSTER ON t_pkey",
        "ALTER TABLE ONLY public.t REPLICA IDENTITY FULL",
        "ALTER TABLE public.t DISABLE TRIGGER x",
        "ALTER TABLE public.t ENABLE ALWAYS TRIGGER x",
        "ALTER SEQUENCE public.s OWNED BY public.t.a",
        "ALTER INDEX public.i ALTER COLUMN 1 SET STATISTICS 100",
        "COMMENT ON COLUMN public.t.a IS 'what it is; really'",
        "COMMENT ON CONSTRAINT c ON public.t IS 'x'",
    ],
    refresh: ["REFRESH MATERIALIZED VIEW public.m"],
    extension: [
        "CREATE EXTENSION IF NOT EXISTS citext WITH SCHEMA public",
        'CREATE EXTENSION IF NOT EXISTS "uuid-ossp" WITH SCHEMA public',
    ],
    index: [
        "CREATE INDEX i ON public.t USING btree (a) WHERE (b IS NOT NULL)",
        "CREATE UNIQUE INDEX i ON ONLY public.t USING gin (a)",
    ],
    constraint: [
        "ALTER TABLE ONLY public.t\n    ADD CONSTRAINT t_pkey PRIMARY KEY (a)",
        "ALTER TABLE ONLY public.t ADD CONSTRAINT u UNIQUE (a)",
        "ALTER TABLE public.t ADD CONSTRAINT c CHECK ((a IS NOT NULL)) NOT VALID",
        "ALTER TABLE public.t ADD CONSTRAINT n NOT NULL a NOT VALID",
        "ALTER TABLE ONLY public.t ADD CONSTRAINT f FOREIGN KEY (a) REFERENCES public.u(b) ON DELETE CASCADE DEFERRABLE",
    ],
    trigger: [
        "CREATE TRIGGER g BEFORE INSERT OR UPDATE ON public.t FOR EACH ROW EXECUTE FUNCTION public.f()",
        "CREATE TRIGGER g AFTER DELETE ON t FOR EACH ROW EXECUTE PROCEDURE f()",
    ],
    setval: ["SELECT pg_catalog.setval('public.s', 12, true)", "SELECT pg_catalog.setval('s', -1, false)"],
    createDatabase: [
        "CREATE DATABASE synapse WITH TEMPLATE = template0 ENCODING = 'UTF8' LC_COLLATE = 'C' LC_CTYPE = 'C'",
    ],
    leftOut: [
        "ALTER TABLE public.t OWNER TO rdsadmin",
        'ALTER FUNCTION public.f(a integer) OWNER TO "3f2b-uuid"',
        "ALTER SEQUENCE public.s OWNER TO synapse",
        "ALTER SCHEMA public OWNER TO synapse",
        "SET SESSION AUTHORIZATION 'synapse'",
        "GRANT ALL ON SCHEMA public TO rdsadmin",
        "REVOKE ALL ON TABLE public.t FROM PUBLIC",
        "ALTER DEFAULT PRIVILEGES FOR ROLE a IN SCHEMA public GRANT SELECT ON TABLES TO b",
        "CREATE ROLE synapse",
        "ALTER ROLE synapse WITH NOSUPERUSER LOGIN PASSWORD 'SCRAM-SHA-256$x'",
        "CREATE PUBLICATION p FOR ALL TABLES WITH (publish = 'insert')",
        "ALTER PUBLICATION p ADD TABLE ONLY public.t",
        "CREATE SUBSCRIPTION s CONNECTION 'host=x' PUBLICATION p WITH (connect = false)",
        "SET default_tablespace = fast",
        "CREATE SCHEMA public",
        "COMMENT ON SCHEMA public IS 'standard public schema'",
        "COMMENT ON EXTENSION plpgsql IS 'PL/pgSQL'",
        "CREATE EXTENSION IF NOT EXISTS plpgsql WITH SCHEMA pg_catalog",
        "CREATE EXTENSION IF NOT EXISTS pg_stat_statements WITH SCHEMA public",
        "CREATE EXTENSION IF NOT EXISTS pageinspect WITH SCHEMA public",
        "CREATE EXTENSION IF NOT EXISTS pg_prewarm WITH SCHEMA public",
        "ALTER DATABASE synapse SET work_mem TO '64MB'",
        "SELECT * FROM pg_catalog.pg_restore_relation_stats('version', '180000'::integer, 'relpages', '3'::integer)",
        "DROP TABLE IF EXISTS public.t",
        "ALTER TABLE ONLY public.t DROP CONSTRAINT f",
        "ALTER TABLE IF EXISTS ONLY public.t DROP CONSTRAINT IF EXISTS f",
        "ALTER TABLE IF EXISTS public.t ALTER COLUMN a DROP DEFAULT",
    ],
};

/** Whatever else SQL knows, with the words that name it to people. */
const forbidden: readonly (readonly [statement: string, named: string, code?: string])[] = [
    ["COPY public.users (name) FROM PROGRAM 'id'", "COPY public.users"],
    ["COPY public.users (name) FROM '/etc/passwd'", "COPY public.users"],
    ["COPY public.users (name) TO stdout", "COPY public.users"],
    ["COPY public.users FROM stdin", "COPY public.users"],
    ["COPY public.users (name) FROM stdin WITH (FORMAT csv)", "COPY public.users"],
    ["COPY (SELECT 1) TO PROGRAM 'id'", "COPY"],
    ["CREATE EXTENSION IF NOT EXISTS plpython3u WITH SCHEMA pg_catalog", "CREATE EXTENSION plpython3u"],
    ["CREATE EXTENSION dblink", "CREATE EXTENSION dblink"],
    ["ALTER SYSTEM SET archive_command = 'id'", "ALTER SYSTEM SET archive_command"],
    ["CREATE ROLE evil SUPERUSER", "CREATE ROLE evil SUPERUSER"],
    ["ALTER ROLE evil WITH SUPERUSER", "ALTER ROLE evil SUPERUSER"],
    ["CREATE FUNCTION public.f() RETURNS void LANGUAGE c AS 'libc', 'system'", "function f in another language"],
    [
        "CREATE FUNCTION public.f() RETURNS void LANGUAGE plpython3u AS $$ import os $$",
        "function f in another language",
    ],
    ["CREATE FUNCTION public.f() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1", "CREATE FUNCTION public.f"],
    [
        "CREATE OR REPLACE FUNCTION public.f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE OR REPLACE FUNCTION public.f",
    ],
    ["CREATE PROCEDURE public.f() LANGUAGE c AS 'libc', 'system'", "procedure f in another language"],
    ["CREATE MATERIALIZED VIEW m AS SELECT 1", "CREATE MATERIALIZED VIEW m"],
    ["CREATE MATERIALIZED VIEW m AS SELECT 1 WITH NO DATA WITH DATA", "CREATE MATERIALIZED VIEW m"],
    ["REFRESH MATERIALIZED VIEW CONCURRENTLY m", "REFRESH MATERIALIZED VIEW concurrently m"],
    ["CREATE LANGUAGE plperlu", "CREATE LANGUAGE plperlu"],
    ["CREATE EVENT TRIGGER e ON ddl_command_end EXECUTE FUNCTION f()", "CREATE event TRIGGER e"],
    ["CREATE FOREIGN TABLE t (a text) SERVER s", "CREATE FOREIGN TABLE t"],
    ["CREATE SERVER s FOREIGN DATA WRAPPER w", "CREATE SERVER s"],
    ["CREATE TABLE t AS SELECT 1", "CREATE TABLE t AS"],
    ["CREATE TABLE t (a int) PARTITION BY RANGE (a)", "CREATE TABLE t"],
    ["CREATE TABLE t (a int) TABLESPACE fast", "CREATE TABLE t"],
    ["CREATE TEMPORARY TABLE t (a int)", "CREATE TEMPORARY TABLE t"],
    ["CREATE TABLESPACE x LOCATION '/'", "CREATE TABLESPACE x"],
    ["CREATE TYPE t (INPUT = f, OUTPUT = g)", "CREATE TYPE t"],
    ["ALTER TABLE t ADD COLUMN a text", "ALTER TABLE t"],
    ["ALTER TABLE t DISABLE ROW LEVEL SECURITY", "ALTER TABLE t"],
    ["ALTER TABLE t RENAME TO u", "ALTER TABLE t"],
    ["ALTER TABLE t DROP COLUMN a", "ALTER TABLE t"],
    ["ALTER TABLE t DROP CONSTRAINT c, ADD COLUMN a text", "ALTER TABLE t"],
    ["ALTER TABLE t ALTER COLUMN a DROP NOT NULL", "ALTER TABLE t"],
    ["ALTER FUNCTION f() SECURITY DEFINER", "ALTER FUNCTION f"],
    ["DO $$ BEGIN PERFORM 1; END $$", "DO"],
    ["CALL f()", "CALL f"],
    ["SELECT pg_catalog.pg_read_file('/etc/passwd')", "SELECT pg_catalog.pg_read_file"],
    ["SELECT pg_catalog.set_config('search_path', 'evil', false)", "SELECT pg_catalog.set_config"],
    ["SELECT pg_catalog.set_config('role', '', false)", "SELECT pg_catalog.set_config"],
    ["SELECT pg_catalog.setval('s', (SELECT 1), true)", "SELECT pg_catalog.setval"],
    ["SELECT lo_import('/etc/passwd')", "SELECT lo_import"],
    ["SELECT 1", "SELECT"],
    ["SET session_preload_libraries = 'x'", "SET session_preload_libraries"],
    ["SET standard_conforming_strings = off", "standard_conforming_strings = off"],
    ["SET default_table_access_method = columnar", "the table access method columnar"],
    ["UPDATE pg_catalog.pg_proc SET prosecdef = true", "UPDATE pg_catalog.pg_proc SET prosecdef"],
    ["DELETE FROM users", "DELETE FROM users"],
    ["TRUNCATE users", "TRUNCATE users"],
    ["LOAD 'x'", "LOAD"],
    ["BEGIN", "BEGIN"],
    ["COMMIT", "COMMIT"],
    ["VACUUM", "VACUUM"],
    ["LISTEN x", "LISTEN x"],
    ["SECURITY LABEL ON TABLE t IS 'x'", "SECURITY label ON TABLE t IS"],
    ["IMPORT FOREIGN SCHEMA s FROM SERVER x INTO y", "IMPORT FOREIGN SCHEMA s"],
    ["", "a statement without words"],
    ["SET client_encoding = 'SQL_ASCII'", "client_encoding = SQL_ASCII", "SM-E0904"],
    ["SET client_encoding = 'LATIN1'", "client_encoding = LATIN1", "SM-E0904"],
    ["INSERT INTO users SELECT '@secret'", "INSERT INTO users SELECT"],
    ["ALTER TABLE t DISABLE TRIGGER ALL", "--data-only", "SM-E0907"],
];

describe("the allow-list of plain dumps", () => {
    for (const [kind, texts] of Object.entries(allowed)) {
        it(`takes what pg_dump writes for ${kind}`, () => {
            for (const text of texts) expect(classified(text), text).to.include({ kind });
        });
    }

    it("refuses everything else by name, and never shows a value", () => {
        for (const [text, named, code = "SM-E0903"] of forbidden) {
            const statement = classified(text);
            expect(statement, text).to.include({ kind: "refused", code });
            if (statement.kind === "refused") {
                expect(statement.found, text).to.contain(named);
                expect(statement.found).not.to.match(/@secret|\/etc\/passwd|'id'/);
            }
        }
    });

    it("reads the columns that have data, and those of a COPY", () => {
        const table = classified(
            `CREATE TABLE public.t (a text DEFAULT 'x, y', f int[] DEFAULT ARRAY[g(), g()], "B" numeric(10,2), c int GENERATED ALWAYS AS (a, b) STORED,
                d int GENERATED BY DEFAULT AS IDENTITY, CONSTRAINT k CHECK ((a <> 'CONSTRAINT')), PRIMARY KEY (a))`,
        );
        expect(table).to.deep.include({ columns: ["a", "f", "B", "d"], table: { schema: "public", name: "t" } });
        expect(classified('COPY t (a, "B c") FROM stdin')).to.deep.include({
            columns: ["a", "B c"],
            table: { name: "t" },
        });
    });

    it("reads sequences' values without losing digits, owners, and what a foreign key refers to", () => {
        expect(classified(`SELECT pg_catalog.setval('public."Odd.seq"', 9223372036854775807, false)`)).to.deep.equal({
            ...{
                kind: "setval",
                sequence: { schema: "public", name: "Odd.seq" },
                lastValue: "9223372036854775807",
                isCalled: false,
            },
        });
        expect(classified('ALTER TABLE t OWNER TO "4711-role"')).to.include({ owner: "4711-role" });
        expect(classified("ALTER TABLE t ADD CONSTRAINT f FOREIGN KEY (a) REFERENCES public.u(b)")).to.deep.include({
            references: { schema: "public", name: "u" },
        });
    });
});
