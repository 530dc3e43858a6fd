/** A way a homeserver is moved, as the rehearsal goes it: what the stack is given, made out of a homeserver that was filled. */
import type { Progress } from "../../steps/run/progress.ts";
import type { Canary } from "../source/canary.ts";
import type { SourceCluster } from "../source/cluster.ts";
import type { SourceHomeserver } from "../source/homeserver.ts";

/** What a route works on. */
export interface RouteArgs {
    readonly source: SourceHomeserver;
    readonly cluster: SourceCluster;
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

export interface Route {
    /** One line, for people. */
    readonly description: string;
    /** Makes what is moved; a route that takes files has the source stopped for good. */
    readonly prepare: (args: RouteArgs) => Promise<RouteStack>;
}
