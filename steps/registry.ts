/** All steps, by name. */
import { assess } from "./assess.ts";
import { canary } from "./canary.ts";
import { cleanup } from "./cleanup.ts";
import { commit } from "./commit.ts";
import { configure } from "./configure.ts";
import { database } from "./database.ts";
import { dump } from "./dump.ts";
import { fence } from "./fence.ts";
import { gateway } from "./gateway.ts";
import { guardSteps } from "./guard.ts";
import { mediaEarly } from "./mediaEarly.ts";
import { mediaFinal } from "./mediaFinal.ts";
import { mediaStorage } from "./mediaStorage.ts";
import { open } from "./open.ts";
import { probe } from "./probe.ts";
import { report } from "./report.ts";
import { restore } from "./restore.ts";
import type { AnyStep } from "./run/runStep.ts";
import { safeguard } from "./safeguard.ts";
import { secrets } from "./secrets.ts";
import { start } from "./start.ts";
import { swap } from "./swap.ts";
import { verify } from "./verify.ts";

const acting: readonly AnyStep[] = [
    assess,
    secrets,
    database,
    mediaStorage,
    configure,
    gateway,
    mediaEarly,
    canary,
    fence,
    dump,
    safeguard,
    restore,
    mediaFinal,
    verify,
    swap,
    start,
    probe,
    commit,
    open,
    cleanup,
    report,
];

/** Every step there is, in the order of a migration; the guards first. */
export const steps: readonly AnyStep[] = [
    ...guardSteps((name) => acting.find(({ contract }) => contract.name === name)),
    ...acting,
];

export function stepNamed(name: string): AnyStep | undefined {
    return steps.find(({ contract }) => contract.name === name);
}
