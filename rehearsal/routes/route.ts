/** A way a homeserver is moved, as the rehearsal goes it: what the stack is given, made out of a homeserver that was filled. */
import type { Service } from "../../contract/index.ts";
import type { Progress } from "../../engine/run/progress.ts";
import type { PulumiToolchain } from "../../toolchain/toolchain.ts";
import type { Canary } from "../source/canary.ts";
import type { SourceCluster } from "../source/cluster.ts";
import type { Expectations } from "../source/expectations.ts";
import type { HomeserverIdentity } from "../source/identity.ts";
import type { PopulationArgs } from "../source/population.ts";
import type { BootedMachine } from "../machines/machine.ts";
import type { SourceHomeserver } from "../source/homeserver.ts";
import type { Timings } from "../timings.ts";

/** What a route works on. */
export interface RouteArgs {
    readonly source: SourceHomeserver;
    readonly canary: Canary;
    /** For what the route makes; mode 0700. */
    readonly directory: string;
    /** Directory of the PostgreSQL programs. */
    readonly postgresPrograms: string;
    /** For a route that is a migration itself: its stack, beside the one that is rehearsed. */
    readonly ownStack: OwnStack;
    readonly progress: Progress;
    readonly signal: AbortSignal;
}

/** What a route needs to make a stack of its own. */
interface OwnStack {
    readonly name: string;
    readonly pulumi: PulumiToolchain;
    /** Python of the target's Synapse. */
    readonly python: string;
    readonly projectDirectory: string;
    /** Outlives the rehearsal. */
    readonly reportDirectory: string;
    readonly timings: Timings;
    /** Leaves the stack as it is, for a look at it. */
    readonly keep: boolean;
}

/** What a stack is configured with, beyond what all rehearsals have. */
export interface RouteStack {
    /** Keys of the project's configuration. */
    readonly config: Readonly<Record<string, unknown>>;
    readonly secrets: Readonly<Record<string, string>>;
    /** Takes away what the route itself has set up, however the rehearsal has ended; absent where that is nothing but files. */
    readonly takeAway?: () => Promise<void>;
}

/** Whose homeserver is made on this machine. */
export type PreparedRoute = ClusterRoute | SqliteRoute;
export type Route = PreparedRoute | MachineRoute;

interface AnyRoute {
    /** One line, for people. */
    readonly description: string;
}

/** Of a homeserver that runs on a whole machine of its own, which is booted for it: as root alone, on a system like Debian. */
export interface MachineRoute extends AnyRoute {
    readonly place: "machine";
    /** Beyond what says where the source is. */
    readonly config?: Readonly<Record<string, unknown>>;
    readonly boot: () => Promise<BootedMachine>;
    readonly install: (machine: BootedMachine, options: InstallOptions) => Promise<InstalledSource>;
}

interface InstallOptions {
    readonly serverName: string;
    readonly population: Pick<PopulationArgs, "users" | "rooms" | "messages">;
}

/** A homeserver on a machine, filled. */
export interface InstalledSource {
    readonly machine: BootedMachine;
    readonly serverName: string;
    /** Where this machine reaches it, without a final slash. */
    readonly baseUrl: string;
    readonly files: HomeserverIdentity;
    /** As its service is given them; of a container, as the container has them. */
    readonly configPaths: readonly string[];
    /** Content of the file. */
    readonly signingKey: string;
    /** As the stack describes it. */
    readonly service: Service;
    readonly expectations: Expectations;
    answers(): Promise<boolean>;
}

/** Of a source that keeps its rows in PostgreSQL. */
export interface ClusterRoute extends AnyRoute {
    readonly place: "here";
    readonly database: "postgresql";
    /** Makes what is moved; a route that takes files has the source stopped for good. */
    readonly prepare: (args: ClusterRouteArgs) => Promise<RouteStack>;
}

/** Of a source that keeps its rows in a SQLite file. */
export interface SqliteRoute extends AnyRoute {
    readonly place: "here";
    readonly database: "sqlite";
    readonly prepare: (args: SqliteRouteArgs) => Promise<RouteStack>;
}

export type ClusterRouteArgs = RouteArgs & { readonly cluster: SourceCluster };
type SqliteRouteArgs = RouteArgs & { readonly databaseFile: string };
