/** A way a homeserver is moved, as the rehearsal goes it: what the stack is given, made out of a homeserver that was filled. */
import type { Progress } from "../../engine/run/progress.ts";
import type { PulumiToolchain } from "../../toolchain/toolchain.ts";
import type { Canary } from "../source/canary.ts";
import type { SourceCluster } from "../source/cluster.ts";
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

export type Route = ClusterRoute | SqliteRoute;

interface AnyRoute {
    /** One line, for people. */
    readonly description: string;
}

/** Of a source that keeps its rows in PostgreSQL. */
export interface ClusterRoute extends AnyRoute {
    readonly database: "postgresql";
    /** Makes what is moved; a route that takes files has the source stopped for good. */
    readonly prepare: (args: ClusterRouteArgs) => Promise<RouteStack>;
}

/** Of a source that keeps its rows in a SQLite file. */
export interface SqliteRoute extends AnyRoute {
    readonly database: "sqlite";
    readonly prepare: (args: SqliteRouteArgs) => Promise<RouteStack>;
}

export type ClusterRouteArgs = RouteArgs & { readonly cluster: SourceCluster };
type SqliteRouteArgs = RouteArgs & { readonly databaseFile: string };
