/** What a move ends with: the commit, the end of what was kept of before, the report. */
import { createHash } from "node:crypto";
import { join } from "node:path";
import * as pulumi from "@pulumi/pulumi";
import { cleanupContract, commitContract, keptUntil, reportContract } from "../contract/index.ts";
import type { MigrationConfig } from "./config/parseConfig.ts";
import type { Database, Safeguarded } from "./database.ts";
import type { EarlierStep } from "./migrationStep.ts";
import type { StepSequence } from "./stepSequence.ts";

/** What is committed. */
interface Committed {
    readonly database: Database["connection"];
    readonly probe: pulumi.Output<string>;
    /** Absent for a source that never ran here. */
    readonly fenceToken: pulumi.Output<string> | undefined;
    readonly source: MigrationConfig["source"];
}

/** The point of no return: from here on the target is the homeserver. */
export function commit(parent: pulumi.Resource, steps: StepSequence, committed: Committed) {
    return steps.add(commitContract, { run: steps.run, ...committed }, { parent });
}

interface Kept {
    readonly database: Database["connection"];
    readonly openedAt: pulumi.Output<string>;
    readonly swapped: ReturnType<Database["swap"]>;
    readonly copy: Safeguarded["copy"];
    readonly safeguardHours: number;
    /** What was made here for a target that is installed. */
    readonly workplace?: { readonly directory: string; readonly mediaStore: string } | undefined;
    readonly after: readonly (EarlierStep | undefined)[];
}

/** Again once what was replaced has been kept long enough: until then the step keeps it and says until when. */
export function cleanUp(parent: pulumi.Resource, steps: StepSequence, kept: Kept): void {
    const { database, openedAt, swapped, copy, safeguardHours, workplace, after } = kept;
    const { previous } = swapped.result;
    const spec = { run: steps.run, database, openedAt, previous, copy, safeguardHours, workplace };
    const due = pulumi.all([openedAt, copy]).apply(([at, copied]) => {
        if (copied === undefined) return "nothing was replaced";
        const until = keptUntil(at, safeguardHours);
        return Date.now() < Date.parse(until) ? `kept until ${until}` : `due since ${until}`;
    });
    steps.add(cleanupContract, spec, { parent, after, lookAgainWhen: [due] });
}

interface Reported {
    readonly config: MigrationConfig;
    readonly runId: string;
    /** Versions of programs and plugins. */
    readonly environment: Readonly<Record<string, string>>;
}

/** Last, and again whenever the phase or any result before it is another one. */
export function report(parent: pulumi.Resource, steps: StepSequence, { config, runId, environment }: Reported) {
    const earlier = steps.declared;
    const after = earlier.map(({ result }) => result.apply(digest));
    const spec = {
        run: steps.run,
        directory: join(config.reportDirectory, runId),
        phase: config.phase,
        environment: {
            ...environment,
            source: described(config.source.kind) + placeOf(config.source),
            target: described(config.target.kind) + placeOfTarget(config.target),
        },
        after: pulumi.all(after),
    };
    const place = { parent, after: earlier, lookAgainWhen: [config.phase, ...after] };
    return steps.add(reportContract, spec, place).result;
}

function digest(result: unknown): string {
    return createHash("sha256").update(JSON.stringify(result)).digest("hex");
}

/** Files are on this machine, whatever machine they come from. */
function placeOf(source: MigrationConfig["source"]): string {
    if (source.kind !== "selfHosted") return "";
    return ` on ${source.machine.kind === "ssh" ? source.machine.address : "this machine"}`;
}

/** A bundle goes to somebody else, wherever that is. */
function placeOfTarget(target: MigrationConfig["target"]): string {
    if (target.kind === "emsBundle") return "";
    const machine = target.kind === "installed" ? target.machine : { kind: "local" as const };
    return ` on ${machine.kind === "ssh" ? machine.address : "this machine"}`;
}

/** For people: "self-hosted" for `selfHosted`. */
function described(kind: string): string {
    return kind.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}
