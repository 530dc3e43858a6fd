/** A real homeserver for tests and benchmarks: its own database, its own files, filled when asked for. */
import { join } from "node:path";
import { lineProgress } from "../../engine/run/progress.ts";
import { redact } from "../../engine/run/redaction.ts";
import { makeRehearsalDirectory, removeRehearsalDirectory } from "../directory.ts";
import { SourceCluster } from "./cluster.ts";
import type { Expectations } from "./expectations.ts";
import { SourceHomeserver } from "./homeserver.ts";
import { populate } from "./population.ts";
import { ensureToolchain } from "../../toolchain/toolchain.ts";

export interface TestSynapseOptions {
    readonly serverName?: string;
    /** Absent leaves the server without users. */
    readonly population?: { readonly users: number; readonly rooms: number; readonly messages: number };
}

export interface TestSynapse {
    /** Holds all that belongs to it; free for the test's own files. Removed by {@link stop}. */
    readonly directory: string;
    readonly cluster: SourceCluster;
    readonly homeserver: SourceHomeserver;
    /** What it was filled with; absent when it was not. */
    readonly expectations?: Expectations;
    /** Ends every process that runs from its directory, and removes the directory. */
    readonly stop: () => Promise<void>;
}

const backgroundUpdateSeconds = 60;

/** Enough for one of each kind of room, and small enough for about ten seconds. */
export const smallPopulation = { users: 4, rooms: 4, messages: 72 } as const;

/**
 * Starts a PostgreSQL cluster and a Synapse. Cleans up after itself when that fails.
 *
 * Synapse is that of the toolchain, or of the Python in `SYNAPSE_MIGRATION_PYTHON`: another version, for example.
 */
export async function startTestSynapse(options: TestSynapseOptions = {}): Promise<TestSynapse> {
    const quiet = (): void => undefined;
    const given = process.env["SYNAPSE_MIGRATION_PYTHON"];
    const { postgres, synapse } = await ensureToolchain({ postgres: true, synapse: given === undefined }, quiet);
    const python = given ?? synapse?.python;
    if (postgres === undefined || python === undefined) throw new Error("the toolchain has no PostgreSQL or Synapse");
    const directory = makeRehearsalDirectory();
    const stop = async (): Promise<void> => {
        await removeRehearsalDirectory(directory);
    };
    try {
        const cluster = await SourceCluster.start({
            directory: join(directory, "postgresql"),
            programs: postgres.directory,
        });
        const homeserver = await SourceHomeserver.start({
            directory: join(directory, "synapse"),
            python,
            serverName: options.serverName ?? "rehearsal.test",
            cluster,
        });
        await homeserver.backgroundUpdatesDone(backgroundUpdateSeconds);
        if (options.population === undefined) return { directory, cluster, homeserver, stop };
        const progress = lineProgress("population", quiet, redact);
        const expectations = await populate({ homeserver, seed: "test", progress, ...options.population });
        return { directory, cluster, homeserver, expectations, stop };
    } catch (error) {
        await stop();
        throw error;
    }
}
