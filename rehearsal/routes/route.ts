/** A way a homeserver is moved, as the rehearsal goes it: what the stack is given, made out of a homeserver that was filled. */
import type { Progress } from "../../steps/run/progress.ts";
import type { Canary } from "../source/canary.ts";
import type { SourceCluster } from "../source/cluster.ts";
import type { SourceHomeserver } from "../source/homeserver.ts";

/** What a route works on. */
export interface RouteArgs {
    readonly source: SourceHomeserver;
    readonly canary: Canary;
    /** For what the route makes; mode 0700. */
    readonly directory: string;
    /** Directory of the PostgreSQL programs. */
    readonly postgresPrograms: string;
    readonly progress: Progress;
    readonly signal: AbortSignal;
}

/** What a stack is configured with, beyond what all rehearsals have. */
export interface RouteStack {
    /** Keys of the project's configuration. */
    readonly config: Readonly<Record<string, unknown>>;
    readonly secrets: Readonly<Record<string, string>>;
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
export type SqliteRouteArgs = RouteArgs & { readonly databaseFile: string };
