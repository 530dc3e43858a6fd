/** Sources that are copied in tests, and the comparison of what came of it. */
import { z } from "zod";
import { readDefinitions } from "../../../../engine/postgres/catalogue/catalogue.ts";
import { compareContents } from "../../../../engine/postgres/compare/compareDatabase.ts";
import { inSnapshot, queryOne, withClient, type DatabaseAddress } from "../../../../engine/postgres/connection.ts";
import {
    copyDatabase,
    type CopyContent,
    type DatabaseCopy,
} from "../../../../engine/postgres/directCopy/copyDatabase.ts";
import { tableFingerprints } from "../../../../engine/postgres/compare/fingerprint.ts";
import { readSequences } from "../../../../engine/postgres/sequences/sequences.ts";
import type { TestCluster } from "../../../support/cluster.ts";
import { newRun } from "../../../support/migrationDump.ts";

export interface TestCopy {
    readonly from: TestCluster;
    readonly sourceName: string;
    readonly to: TestCluster;
    readonly targetName: string;
}

/** Runs a copy as a step does: with a snapshot that is held open, as the databases' owner. */
export async function runCopy(
    { from, sourceName, to, targetName }: TestCopy,
    options: Partial<DatabaseCopy> & { readonly signal?: AbortSignal } = {},
): Promise<CopyContent> {
    const { signal, ...rest } = options;
    const run = await newRun(to);
    const source = from.address(sourceName);
    return withSnapshot(source, (snapshot) =>
        copyDatabase(
            {
                ...{
                    source,
                    target: to.address(targetName),
                    snapshot,
                    clientDirectory: from.programs,
                    step: "test-copy",
                },
                ...{ jobs: 2, standsStill: true, ...rest },
            },
            signal === undefined ? run : { ...run, signal },
        ),
    );
}

async function withSnapshot<T>(source: DatabaseAddress, work: (snapshot: string) => Promise<T>): Promise<T> {
    return withClient(source, { step: "test-snapshot", readOnly: true, statementSeconds: 0 }, (client) =>
        inSnapshot(client, undefined, async () => {
            const shape = z.object({ snapshot: z.string() });
            return work((await queryOne(client, shape, "SELECT pg_export_snapshot() AS snapshot")).snapshot);
        }),
    );
}

/** What the target lacks or has otherwise, by its own content and definitions; empty when both are equal. */
export async function differences({ from, sourceName, to, targetName }: TestCopy): Promise<string[]> {
    const source = from.address(sourceName);
    const expected = await withClient(source, { step: "test" }, async (client) => ({
        sequences: await readSequences(client),
        definitions: await readDefinitions(client),
    }));
    const tables = await tableFingerprints(source, { step: "test", jobs: 2 });
    const checks = await compareContents(to.address(targetName), { ...expected, tables }, { step: "test", jobs: 2 });
    return checks.filter(({ state }) => state !== "passed").map(({ id, evidence }) => `${id}: ${evidence}`);
}

/** Types, constraints and kinds of tables beyond those that Synapse has. */
export const variedSchema = `
    CREATE TYPE mood AS ENUM ('calm', 'été');
    CREATE SEQUENCE never_called START 7 INCREMENT 3;
    CREATE SEQUENCE downwards INCREMENT -1 MINVALUE -9223372036854775807 MAXVALUE -1 START -1;
    SELECT nextval('downwards'), nextval('downwards');
    CREATE TABLE kinds (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, j jsonb, b bytea, v tsvector, a text[], t text, m mood,
        twice bigint GENERATED ALWAYS AS (length(t) * 2) STORED, f double precision, d timestamptz);
    INSERT INTO kinds (j, b, v, a, t, m, f, d) VALUES
        ('{"b": 1.50, "a": ["ü", null]}', '\\x00ff5c0a', to_tsvector('simple', 'Ünï côdé'), ARRAY['a,b', NULL, '"q"', E'new\\nline'], E'tab\\tback\\\\slash\\r\\n', 'été', 0.1, '2026-11-21 01:02:03.456789+05'),
        (NULL, '', NULL, '{}', '\\N', NULL, 'NaN', '-infinity'),
        ('"😀"', NULL, '', ARRAY[['x'],['y']], '😀 \\.', 'calm', 1e300, NULL);
    INSERT INTO kinds (t) SELECT '\\.' FROM generate_series(1, 50);
    CREATE TABLE no_columns ();
    INSERT INTO no_columns DEFAULT VALUES;
    CREATE TABLE only_generated (x int GENERATED ALWAYS AS (1) STORED);
    INSERT INTO only_generated DEFAULT VALUES;
    CREATE TABLE dropped_column (a int, gone text, "Order" text DEFAULT 'd"q');
    INSERT INTO dropped_column SELECT g, 'x', 'o' || g FROM generate_series(1, 100) g;
    ALTER TABLE dropped_column DROP COLUMN gone;
    CREATE UNLOGGED TABLE "Unlogged Table" (k text PRIMARY KEY, "from" int);
    INSERT INTO "Unlogged Table" VALUES ('a', 1), ('b', 2);
    CREATE TABLE parent (id int PRIMARY KEY, tag text);
    CREATE TABLE child (more text) INHERITS (parent);
    INSERT INTO parent VALUES (1, 'p'); INSERT INTO child VALUES (2, 'c', 'm'), (3, 'c', 'm');
    CREATE TABLE ranges (id int, at date, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
    CREATE TABLE ranges_old PARTITION OF ranges FOR VALUES FROM (MINVALUE) TO ('2020-01-01');
    CREATE TABLE ranges_new PARTITION OF ranges FOR VALUES FROM ('2020-01-01') TO (MAXVALUE);
    CREATE INDEX ranges_at ON ranges (at);
    INSERT INTO ranges SELECT g, '2019-06-01'::date + g FROM generate_series(1, 500) g;
    CREATE TABLE holders (id int PRIMARY KEY, other int, at date, note text,
        CONSTRAINT "note long" CHECK (length(note) > 1), CONSTRAINT later UNIQUE (other) DEFERRABLE INITIALLY DEFERRED,
        CONSTRAINT to_parent FOREIGN KEY (id) REFERENCES parent (id) ON DELETE CASCADE DEFERRABLE);
    INSERT INTO holders VALUES (1, 5, '2019-06-02', 'ok');
    ALTER TABLE holders ADD CONSTRAINT loose CHECK (note <> 'ok') NOT VALID;
    ALTER TABLE holders ADD CONSTRAINT loose_key FOREIGN KEY (other) REFERENCES parent (id) NOT VALID;
    CREATE UNIQUE INDEX holders_partial ON holders (other) WHERE note IS NOT NULL;
    CREATE INDEX holders_expression ON holders (lower(note) text_pattern_ops DESC) INCLUDE (at);
    CREATE INDEX kinds_gin ON kinds USING gin (v);
    ALTER INDEX holders_expression ALTER COLUMN 1 SET STATISTICS 500;
    COMMENT ON INDEX holders_partial IS E'first\\n--\\nsecond; line';
    COMMENT ON CONSTRAINT loose ON holders IS 'kept';
    CLUSTER holders USING holders_pkey;
    CREATE STATISTICS holders_stat (dependencies) ON other, at FROM holders;
    CREATE UNIQUE INDEX identity_index ON dropped_column (a) ; ALTER TABLE dropped_column ALTER a SET NOT NULL;
    ALTER TABLE dropped_column REPLICA IDENTITY USING INDEX identity_index;
    ALTER TABLE child REPLICA IDENTITY FULL;
    CREATE FUNCTION check_parent() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM 1 FROM parent; RETURN NEW; END $$;
    CREATE TRIGGER checked BEFORE INSERT ON holders FOR EACH ROW EXECUTE FUNCTION check_parent();
    ALTER TABLE holders DISABLE TRIGGER checked;
    CREATE RULE quiet AS ON DELETE TO parent DO INSTEAD NOTHING;
    CREATE VIEW counted AS SELECT count(*) FROM parent;
    CREATE SCHEMA "Other";
    CREATE TABLE "Other".kinds (t text COLLATE "C" PRIMARY KEY);
    INSERT INTO "Other".kinds VALUES ('z'), ('Z');
`;
