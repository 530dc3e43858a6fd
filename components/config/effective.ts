/** What a stack's configuration comes to where it says nothing and the answer depends on its other keys, or on the stack. */
import { join } from "node:path";
import { phases, type Phase } from "../../contract/index.ts";
import type { PlainConfig } from "./schema.ts";
import type { Locate } from "./problems.ts";

/** What the rules need to know besides the configuration itself. */
export interface ConfigFacts {
    readonly project: string;
    readonly stack: string;
    /** Full names of the keys that are kept encrypted, as in `PULUMI_CONFIG_SECRET_KEYS`. */
    readonly encrypted: readonly string[];
    /** `$XDG_STATE_HOME`, or `~/.local/state`. */
    readonly stateDirectory: string;
    readonly locate?: Locate;
}

/** Whether the phase that is declared includes the other one. */
export const reaches = (declared: Phase, phase: Phase): boolean => phases.indexOf(declared) >= phases.indexOf(phase);

export const declaredPhase = (config: PlainConfig): Phase => config.phase ?? (config.rehearsal ? "cutover" : "assess");
export const workDirectory = (config: PlainConfig, facts: ConfigFacts): string =>
    config.workDirectory ?? join(facts.stateDirectory, facts.project, facts.stack);

/** Rows go from server to server only where there are two of them. */
export const hasServers = ({ source, target }: PlainConfig): boolean =>
    source.kind === "selfHosted" && target.kind !== "emsBundle";

export const copyOf = (config: PlainConfig): NonNullable<PlainConfig["copy"]> =>
    config.copy ?? (hasServers(config) ? "direct" : "archive");
