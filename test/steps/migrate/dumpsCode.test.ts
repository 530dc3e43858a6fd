import { access, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect } from "chai";
import type { z } from "zod";
import type { importContract, verifyContract } from "../../../contract/index.ts";
import { withClient } from "../../../engine/postgres/connection.ts";
import { readMarker } from "../../../engine/postgres/databases/marker.ts";
import { mediaStorage } from "../../../steps/stage/mediaStorage.ts";
import { importDump } from "../../../steps/migrate/import.ts";
import { importMedia } from "../../../steps/migrate/importMedia.ts";
import { swap } from "../../../steps/migrate/swap.ts";
import { verify } from "../../../steps/migrate/verify.ts";
import { backupOf, importSpec, newDirectory, pgDump } from "../../support/bundle.ts";
import { testCluster, type TestCluster } from "../../support/cluster.ts";
import { expectError } from "../../support/expectError.ts";
import { newRun } from "../../support/migrationDump.ts";

type ImportSpec = z.infer<typeof importContract.spec>;

/** What the dump brings, as the database that it is loaded into will have it. */
const names = ["function public.plant(integer)", "check public.lure: lure_n_check"] as const;

describe("a dump whose CHECK calls a function that lays a trap for a role with more rights", function () {
    this.timeout(180_000);
    let cluster: TestCluster;
    /** Made by a program that PostgreSQL's operating system user runs. */
    let proof: string;
    const dumps: Record<string, string> = {};

    before(async () => {
        cluster = await testCluster();
        proof = join(cluster.directory, "data", "trap-sprung");
        const source = await cluster.createDatabase("synapse", cluster.newName("source"));
        await cluster.query(source, "TRUNCATE local_media_repository, local_media_repository_thumbnails");
        const files = await newDirectory(cluster);
        await cluster.query(
            source,
            `CREATE FUNCTION public.plant(n integer) RETURNS boolean LANGUAGE plpgsql AS $plant$
            BEGIN
                IF current_database() NOT LIKE '%incoming%' THEN RETURN true; END IF;
                EXECUTE $$CREATE FUNCTION public.spring() RETURNS trigger LANGUAGE plpgsql AS $spring$
                    BEGIN
                        COPY (SELECT 1) TO PROGRAM 'touch ${proof}';
                        RETURN NEW;
                    EXCEPTION WHEN insufficient_privilege THEN RETURN NEW;
                    END $spring$ $$;
                EXECUTE 'CREATE TRIGGER spring BEFORE UPDATE ON synapse_migration.marker FOR EACH ROW EXECUTE FUNCTION public.spring()';
                RETURN true;
            EXCEPTION WHEN OTHERS THEN RETURN true;
            END $plant$;
            CREATE TABLE public.lure (n integer CHECK (public.plant(n)));
            ALTER TABLE public.lure OWNER TO synapse; ALTER FUNCTION public.plant(integer) OWNER TO synapse;
            INSERT INTO public.lure VALUES (1)`,
            "postgres",
        );
        for (const format of ["plain", "custom"]) {
            dumps[format] = join(files, `synapse.${format}`);
            await pgDump(cluster, source, ["--format", format, "--file", dumps[format]]);
        }
    });

    const sprung = (): Promise<boolean> =>
        access(proof).then(
            () => true,
            () => false,
        );

    /** With an administrator who is a superuser, as of a server of our own. */
    const specOf = async (format: string, more: Partial<ImportSpec> = {}, admin = "postgres") => {
        const run = await newRun(cluster);
        const spec = await importSpec(cluster, run, backupOf([dumps[format] ?? ""]));
        return { run, spec: { ...spec, database: { ...spec.database, admin }, ...more } };
    };

    const verifySpecOf = async ({ run, spec }: Awaited<ReturnType<typeof specOf>>) => {
        const { incoming, manifestFile, manifestDigest, oneTimeKeys } = await importDump.act(spec, run);
        const mediaStore = join(await newDirectory(cluster, "target"), "media_store");
        await mediaStorage.act({ run: spec.run, mediaStore }, run);
        const { source, database } = spec;
        const placed = { run: spec.run, source, database, incoming, mediaStore, remoteCache: "carry" as const };
        const media = await importMedia.act(placed, run);
        const files = await newDirectory(cluster);
        const [signingKeyFile, secretsFile] = [join(files, "key"), join(files, "secrets.yaml")];
        for (const file of [signingKeyFile, secretsFile]) await writeFile(file, "", { mode: 0o600 });
        const given: z.infer<typeof verifyContract.spec> = {
            ...{ ...placed, manifestFile, manifestDigest, oneTimeKeys },
            ...{ mediaTreeDigest: media.treeDigest, mediaRowsAdded: media.rowsAdded, signingKeyFile, secretsFile },
        };
        return given;
    };

    for (const format of ["plain", "custom"])
        it(`runs nothing as a superuser until the database has its name, also where the code is accepted (${format})`, async () => {
            const made = await specOf(format, { foreignCode: [...names] });
            const given = await verifySpecOf(made);
            await verify.act(given, made.run);
            const { run, database, incoming } = given;
            await swap.act({ run, database, incoming, proof: "0".repeat(64) }, made.run);
            expect(await sprung(), "the dump ran a program").to.equal(false);
            const marker = await withClient(cluster.address(database.name), { step: "test" }, readMarker);
            expect(marker?.state).to.equal("swapped");
            const [trigger] = await cluster.query(
                database.name,
                "SELECT tgname FROM pg_trigger WHERE tgname = 'spring'",
            );
            expect(trigger).to.equal(undefined);
        });

    it("is compared as its owner: who looks after databases needs no right to anything in it", async () => {
        const { password = "" } = cluster.superuserAddress();
        await cluster.query("postgres", `CREATE ROLE keeper LOGIN CREATEDB PASSWORD '${password}' IN ROLE synapse`);
        const made = await specOf("plain", { foreignCode: [...names] }, "keeper");
        const given = await verifySpecOf(made);
        await cluster.query("postgres", "REVOKE synapse FROM keeper");
        await verify.act(given, made.run);
    });

    for (const format of ["plain", "custom"])
        it(`is refused, naming what it brings, before any of its rows is loaded (${format})`, async () => {
            const { run, spec } = await specOf(format);
            const error = await expectError("SM-E0545", () => importDump.act(spec, run));
            for (const name of names) expect(error.message).to.contain(name);
            const [lure] = await cluster.query(
                `${spec.database.name}_incoming_${run.id}`,
                "SELECT count(*)::int AS rows FROM public.lure",
            );
            expect(lure).to.deep.equal({ rows: 0 });
        });
});
