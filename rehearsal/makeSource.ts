/** Makes the homeserver that a rehearsal moves, on this machine or on one that is booted for it, and what the stack is told of it. */
import { mkdirSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import type { Progress } from "../engine/run/progress.ts";
import type { PostgresPrograms } from "../toolchain/postgres.ts";
import type { PulumiToolchain } from "../toolchain/toolchain.ts";
import type { SynapseEnvironment } from "../toolchain/synapse.ts";
import { makeServiceDirectory } from "./directory.ts";
import { stackOfMachine } from "./routes/onMachine.ts";
import type { MachineRoute, PreparedRoute, RouteStack } from "./routes/route.ts";
import { routes, type RouteName } from "./routes/routes.ts";
import { registerCanary, type Canary } from "./source/canary.ts";
import { SourceCluster } from "./source/cluster.ts";
import type { Expectations } from "./source/expectations.ts";
import { SourceHomeserver } from "./source/homeserver.ts";
import { populate } from "./source/population.ts";
import { SourceSqlite } from "./source/sqliteDatabase.ts";
import type { Timings } from "./timings.ts";

export interface MakeSourceArgs {
    readonly route: RouteName;
    readonly users: number;
    readonly rooms: number;
    readonly messages: number;
    readonly seed: string;
    readonly copy?: "archive" | "direct" | "replicate" | undefined;
    readonly sourcePython?: string | undefined;
    readonly keep: boolean;
    readonly projectDirectory: string;
    /** The rehearsal's own. */
    readonly directory: string;
    readonly toolchain: {
        readonly pulumi: PulumiToolchain;
        readonly postgres: PostgresPrograms;
        readonly synapse: SynapseEnvironment;
    };
    readonly timings: Timings;
    readonly progress: Progress;
    readonly signal: AbortSignal;
    /** Gets what has to be stopped in the end, at its front: also of a source that is only half made. */
    readonly stoppable: { stop(): Promise<void> }[];
}

/** A homeserver that people use. */
export interface FilledSource {
    readonly serverName: string;
    /** Where its clients reach it, without a final slash. */
    readonly baseUrl: string;
    answers(): Promise<boolean>;
}

export interface MadeSource {
    readonly source: FilledSource;
    readonly canary: Canary;
    readonly expectations: Expectations;
    /** What the stack is given of it. */
    readonly stack: RouteStack;
}

const backgroundUpdateSeconds = 120;
const serverName = "rehearsal.test";

export function makeSource(args: MakeSourceArgs): Promise<MadeSource> {
    const route: PreparedRoute | MachineRoute = routes[args.route];
    return route.place === "machine" ? onMachine(route, args) : onThisMachine(route, args);
}

async function onMachine(route: MachineRoute, args: MakeSourceArgs): Promise<MadeSource> {
    const { timings, stoppable, signal, users, rooms, messages, seed } = args;
    const machine = await timings.during("source: a machine boots", () => route.boot());
    stoppable.unshift({ stop: () => machine.end() });
    signal.throwIfAborted();
    const source = await timings.during("source: homeserver, users, rooms, messages, media, keys", () =>
        route.install(machine, { serverName, population: { users, rooms, messages } }),
    );
    const canary = await registerCanary(source, seed);
    const { config, ...stack } = stackOfMachine(source, canary);
    const { expectations } = source;
    return { source, canary, expectations, stack: { ...stack, config: { ...config, ...route.config } } };
}

async function onThisMachine(route: PreparedRoute, args: MakeSourceArgs): Promise<MadeSource> {
    const { timings, directory, progress, signal, seed, stoppable, keep, projectDirectory } = args;
    const { pulumi, postgres, synapse } = args.toolchain;
    const databaseDirectory = join(directory, "source-database");
    const cluster =
        route.database === "sqlite"
            ? undefined
            : await timings.during("source: PostgreSQL", () =>
                  SourceCluster.start({
                      ...{ directory: databaseDirectory, programs: postgres.directory },
                      replicates: args.copy === "replicate",
                  }),
              );
    if (cluster !== undefined) stoppable.unshift(cluster);
    signal.throwIfAborted();
    const databaseFile = join(databaseDirectory, "homeserver.db");
    if (cluster === undefined) makeServiceDirectory(databaseDirectory);
    const source = await timings.during("source: Synapse", () =>
        SourceHomeserver.start({
            directory: join(directory, "source"),
            python: args.sourcePython ?? synapse.python,
            serverName,
            cluster: cluster ?? new SourceSqlite(databaseFile, synapse.python),
        }),
    );
    stoppable.unshift(source);
    const expectations = await timings.during("source: users, rooms, messages, media, keys", async () => {
        const put = await populate({ ...args, homeserver: source });
        await source.backgroundUpdatesDone(backgroundUpdateSeconds);
        return put;
    });
    const canary = await registerCanary(source, seed);
    const { python } = synapse;
    const routeArgs = {
        ...{ source, canary, progress, signal },
        ownStack: {
            ...{ name: `${basename(directory)}-bundle`, pulumi, python, projectDirectory, timings, keep },
            reportDirectory: `${reportDirectoryOf(directory)}-bundle`,
        },
        directory: makePrivateDirectory(join(directory, "export")),
        postgresPrograms: postgres.directory,
    };
    const stack = await timings.during(`route: ${args.route}`, () => {
        if (route.database === "sqlite") return route.prepare({ ...routeArgs, databaseFile });
        if (cluster === undefined) throw new Error("the source has no cluster");
        return route.prepare({ ...routeArgs, cluster });
    });
    if (stack.takeAway !== undefined && !keep) stoppable.unshift({ stop: stack.takeAway });
    return { source, canary, expectations, stack };
}

/** Beside the rehearsal's directory, which is removed. */
export function reportDirectoryOf(directory: string): string {
    return join(dirname(directory), "reports", basename(directory));
}

function makePrivateDirectory(directory: string): string {
    mkdirSync(directory, { mode: 0o700 });
    return directory;
}
