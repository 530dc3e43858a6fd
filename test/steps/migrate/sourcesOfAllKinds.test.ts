import { expect } from "chai";
import { runProgram } from "../../../engine/machines/program.ts";
import { compareDatabase } from "../../../engine/postgres/compare/compareDatabase.ts";
import { readManifest } from "../../../engine/postgres/compare/dumpManifest.ts";
import { withPasswordFile } from "../../../engine/postgres/server/passwordFile.ts";
import { copy } from "../../../steps/migrate/directCopy.ts";
import { dump } from "../../../steps/migrate/dump.ts";
import { restore } from "../../../steps/migrate/restore.ts";
import { testCluster, testServerName, type TestCluster } from "../../support/cluster.ts";
import { newRun } from "../../support/migrationDump.ts";
import { synapseDump } from "../../support/synapseDump.ts";
import { join } from "node:path";

/** What administrators put into a database, and what a bridge may have there. */
const additions = `
    CREATE EXTENSION pg_stat_statements; CREATE EXTENSION amcheck; COMMENT ON EXTENSION amcheck IS 'checked every night';
    CREATE FUNCTION noted() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN END $$;
    CREATE EVENT TRIGGER noted ON ddl_command_end EXECUTE FUNCTION noted(); COMMENT ON EVENT TRIGGER noted IS 'kept';
    CREATE SCHEMA "Of pages"; CREATE EXTENSION pageinspect SCHEMA "Of pages"; CREATE EXTENSION citext;
    CREATE VIEW pages AS SELECT "Of pages".page_checksum('', 0);
    CREATE SCHEMA bridge AUTHORIZATION migrator; CREATE TABLE bridge.puppets (name citext PRIMARY KEY, note text DEFAULT E'a\\\\b''');
    INSERT INTO bridge.puppets VALUES ('Alice');
    CREATE PUBLICATION everything FOR ALL TABLES;
    GRANT USAGE ON SCHEMA bridge TO synapse; GRANT SELECT ON bridge.puppets TO synapse`;
const settings = ["standard_conforming_strings = off", "statement_timeout = '200ms'", "quote_all_identifiers = on"];

describe("a source that was not made as the target is", function () {
    this.timeout(120_000);
    let cluster: TestCluster;

    before(async function () {
        this.timeout(180_000);
        cluster = await testCluster();
    });

    for (const [title, locale] of [
        ["sorted by the system's locale", "LC_COLLATE 'C.UTF-8' LC_CTYPE 'C.UTF-8'"],
        ["sorted by ICU", "LC_COLLATE 'C' LC_CTYPE 'C' LOCALE_PROVIDER icu ICU_LOCALE 'en-US'"],
    ] as const)
        it(`${title}, with extensions, event triggers, another's schema and settings of its own, is moved whole either way`, async () => {
            const name = await made(locale);
            expect(await copied(name, "direct")).to.deep.equal([]);
            expect(await copied(name, "archive")).to.deep.equal([]);
        });

    async function made(locale: string): Promise<string> {
        const name = cluster.newName("source");
        await cluster.query(
            "postgres",
            `CREATE DATABASE ${name} OWNER synapse TEMPLATE template0 ENCODING 'UTF8' ${locale}`,
        );
        const address = cluster.address(name);
        const dumped = await synapseDump(testServerName);
        await withPasswordFile(cluster.directory, "test", address, (file) =>
            runProgram(
                join(cluster.programs, "pg_restore"),
                [
                    ...["--no-owner", "--no-acl", "--exit-on-error", "-h", address.host, "-p", String(address.port)],
                    ...["-U", address.user, "-d", name, dumped],
                ],
                { environment: { PGPASSFILE: file }, timeoutSeconds: 60 },
            ),
        );
        await cluster.query(name, additions);
        for (const setting of settings) await cluster.query("postgres", `ALTER DATABASE ${name} SET ${setting}`);
        return name;
    }

    /** What of the copy is not as it was there. */
    async function copied(name: string, how: "direct" | "archive"): Promise<string[]> {
        const run = await newRun(cluster);
        const [reference, source] = [{ id: run.id, directory: run.directory }, await cluster.source(name)];
        // As on a server that the program has made: its admin is a superuser.
        const database = { ...cluster.target(cluster.newName("target")), admin: "postgres" };
        const common = { run: reference, database, safeguard: "absent", jobs: 2 };
        const clientDirectory = cluster.programs;
        const dumped =
            how === "direct"
                ? await copy.act({ ...common, source }, run)
                : await dump.act({ run: reference, source, jobs: 2, clientDirectory }, run);
        const { manifestFile, manifestDigest } = dumped;
        const { incoming } =
            "incoming" in dumped
                ? dumped
                : await restore.act({ ...common, serverName: testServerName, manifestFile, manifestDigest }, run);
        const manifest = await readManifest(manifestFile, manifestDigest);
        const options = { oneTimeKeys: "emptied", owner: "synapse" } as const;
        const { checks } = await compareDatabase(cluster.superuserAddress(incoming), manifest, options);
        const [facts] = await cluster.query(
            incoming,
            `SELECT (SELECT array_agg(extname::text ORDER BY extname) FROM pg_extension) AS extensions,
                (SELECT count(*)::int FROM pg_event_trigger) AS triggers, (SELECT note FROM bridge.puppets) AS note,
                datcollate AS collate, datlocprovider::text AS provider FROM pg_database WHERE datname = current_database()`,
        );
        expect(facts).to.deep.equal({
            ...{ extensions: ["citext", "pageinspect", "plpgsql"], triggers: 0, note: "a\\b'" },
            ...{ collate: "C", provider: "c" },
        });
        return checks.filter(({ state }) => state !== "passed").map(({ id, evidence }) => `${id}: ${evidence}`);
    }
});
