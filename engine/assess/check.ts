/** What an assessment check is, and how it reports. */
import type { z } from "zod";
import type { assessContract, Finding, SelfHostedSource } from "../../contract/index.ts";
import type { Client } from "../postgres/connection.ts";
import type { HomeserverConfig } from "../synapse/config/homeserverConfig.ts";
import type { HomeserverSecrets } from "../synapse/secrets/homeserverSecrets.ts";
import type { ReadSizes } from "./sizes.ts";
import type { InstalledSynapse } from "../synapse/targetVersion.ts";

/** What every check may look at. All of it is only read. */
export interface AssessmentContext {
    readonly spec: z.infer<typeof assessContract.spec> & { readonly source: SelfHostedSource };
    readonly config: HomeserverConfig;
    /** A read-only session on the source's database. */
    readonly client: Client;
    readonly targetSynapse: InstalledSynapse;
    readonly measured: ReadSizes;
    readonly secrets: HomeserverSecrets;
    /** The source is fenced already: its service is meant to be down, and the disk is being filled by this run. */
    readonly begun: boolean;
    /** Names of code in the database that is not Synapse's and is known: see `foreignCode`. */
    readonly foreignCode: readonly string[];
}

/** What a check of a database alone looks at: of the source's, or of one that was made from a dump. */
type DatabaseContext = Pick<AssessmentContext, "client" | "targetSynapse" | "foreignCode">;

export interface DatabaseCheck extends Omit<AssessmentCheck, "run"> {
    readonly run: (context: DatabaseContext) => Promise<Finding[] | "not-run">;
}

export interface AssessmentCheck {
    /** Shown where the check did not run. */
    readonly id: string;
    /** `cheap`: at most a second at any database size, so it may run in a preview. `thorough`: reads whole tables. */
    readonly cost: "cheap" | "thorough";
    /** `not-run` where something it depends on could not be found out in time. */
    readonly run: (context: AssessmentContext) => Promise<Finding[] | "not-run">;
}

/** What a check looks at that asks no server for rows. */
export type SourceContext = Omit<AssessmentContext, "client">;

export interface SourceCheck extends Omit<AssessmentCheck, "run"> {
    readonly run: (context: SourceContext) => Promise<Finding[] | "not-run">;
}
