/** The downtime of `copy: replicate` under a writer, on a source that is new in each round: replication changes it. */
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import type { PostgresPrograms } from "../../toolchain/postgres.ts";
import { copyGenerated, generatedDatabase } from "../data/cache.ts";
import { inOwnProcess } from "../ownProcess.ts";
import { downtimeRun, type DowntimeRun } from "../results/results.ts";
import { BenchServer } from "../server.ts";

/** Events of a busy homeserver, each some twenty rows. */
const eventsPerSecond = 40;
const incoming = "incoming";
const program = join(import.meta.dirname, "process.ts");

/** `strict` compares every row within the downtime. */
export type Verify = "quick" | "strict";

export interface DowntimeBench {
    /** Open to the service user. */
    readonly directory: string;
    readonly events: number;
    readonly jobs: number;
    readonly postgres: PostgresPrograms;
    /** Directory of the target's server programs: of the same version or a newer one. */
    readonly targetPrograms: string;
    readonly verify: Verify;
    readonly say: (line: string) => void;
}

/** One round: its own source and its own target. */
export async function measureDowntime(bench: DowntimeBench): Promise<DowntimeRun> {
    const { postgres, targetPrograms, jobs, verify, say } = bench;
    const directory = join(bench.directory, "downtime");
    const [from, to, work] = ["source", "target", "run"].map((name) => join(directory, name)) as [
        string,
        string,
        string,
    ];
    await mkdir(directory, { mode: 0o711 });
    await mkdir(work, { mode: 0o700 });
    await copyGenerated(from, bench.events, postgres, say);
    await BenchServer.create(to, targetPrograms);
    const source = await BenchServer.start(from, postgres.directory, { wal_level: "logical" });
    try {
        const target = await BenchServer.start(to, targetPrograms);
        try {
            await target.createDatabase(incoming);
            const task = {
                ...{ jobs, verify, eventsPerSecond, directory: work, programs: postgres.directory },
                source: source.address(generatedDatabase),
                target: target.administration(incoming),
                owner: target.address(incoming),
            };
            return await inOwnProcess(program, task, downtimeRun);
        } finally {
            await target.stop();
        }
    } finally {
        await source.stop();
        await rm(directory, { recursive: true, force: true });
    }
}
