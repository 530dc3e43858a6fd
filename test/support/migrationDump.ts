/** A dump of a real homeserver's database, made by the dump step, and what the steps after it are given. */
import { cp, mkdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { z } from "zod";
import type { restoreContract } from "../../contract/index.ts";
import { dump } from "../../steps/migrate/dump.ts";
import { readManifest, type Manifest } from "../../engine/postgres/compare/dumpManifest.ts";
import { testServerName, type TestCluster } from "./cluster.ts";
import { testRun, type TestRun } from "./stepRun.ts";

const fenceToken = "f".repeat(64);
type RestoreSpec = z.infer<typeof restoreContract.spec>;

export interface MigrationDump {
    readonly run: TestRun;
    readonly sourceName: string;
    readonly manifest: Manifest;
    readonly manifestFile: string;
    readonly manifestDigest: string;
}

export async function newRun(cluster: TestCluster, id = cluster.newName("r").replaceAll("_", "")): Promise<TestRun> {
    const directory = join(cluster.directory, `run-${id}`);
    await mkdir(directory, { mode: 0o700 });
    return testRun(id, directory);
}

export async function makeDump(
    cluster: TestCluster,
    prepare: (sourceName: string) => Promise<void> = () => Promise.resolve(),
): Promise<MigrationDump> {
    const sourceName = await cluster.createDatabase("synapse", cluster.newName("source"));
    await prepare(sourceName);
    const run = await newRun(cluster);
    const { manifestFile, manifestDigest } = await dump.act(
        {
            run: { id: run.id, directory: run.directory },
            source: await cluster.source(sourceName),
            fenceToken,
            jobs: 2,
            clientDirectory: cluster.programs,
        },
        run,
    );
    return {
        run,
        sourceName,
        manifestFile,
        manifestDigest,
        manifest: await readManifest(manifestFile, manifestDigest),
    };
}

/** The same dump in a run directory of its own, to be damaged or restored under another run. */
export async function copyDump(
    cluster: TestCluster,
    { manifestFile, ...original }: MigrationDump,
): Promise<MigrationDump> {
    const run = await newRun(cluster);
    await cp(dirname(manifestFile), run.directory, { recursive: true });
    return { ...original, run, manifestFile: join(run.directory, "dump-manifest.json") };
}

export function restoreSpec(cluster: TestCluster, made: MigrationDump, name: string): RestoreSpec {
    return {
        run: { id: made.run.id, directory: made.run.directory },
        serverName: testServerName,
        database: cluster.target(name),
        manifestFile: made.manifestFile,
        manifestDigest: made.manifestDigest,
        fenceToken,
        safeguard: "absent",
        jobs: 2,
    };
}
