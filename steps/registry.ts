/**
 * All steps, by name. Each is loaded when it is called: a migration calls two dozen of them, each in a process of its own, and most of the
 * time of a short one would be spent loading the others.
 */
import { guardCutoverContract, guardMigrateContract, guardStageContract, type Phase } from "./contract.ts";
import { guardStep } from "./guard.ts";
import type { AnyStep } from "./run/runStep.ts";

interface Entry {
    /** Of the contract; a test compares. */
    readonly phase: Phase;
    readonly load: () => Promise<AnyStep>;
}

const guard = (contract: typeof guardStageContract): Entry => ({
    phase: contract.phase,
    load: () => Promise.resolve(guardStep(contract, stepNamed)),
});

/** In the order of a migration. */
const entries: Readonly<Record<string, Entry>> = {
    assess: { phase: "assess", load: async () => (await import("./assess.ts")).assess },
    "guard-stage": guard(guardStageContract),
    secrets: { phase: "stage", load: async () => (await import("./secrets.ts")).secrets },
    database: { phase: "stage", load: async () => (await import("./database.ts")).database },
    "media-storage": { phase: "stage", load: async () => (await import("./mediaStorage.ts")).mediaStorage },
    configure: { phase: "stage", load: async () => (await import("./configure.ts")).configure },
    gateway: { phase: "stage", load: async () => (await import("./gateway.ts")).gateway },
    "prepare-bundle": { phase: "stage", load: async () => (await import("./prepareBundle.ts")).prepareBundle },
    "media-early": { phase: "stage", load: async () => (await import("./mediaEarly.ts")).mediaEarly },
    follow: { phase: "stage", load: async () => (await import("./follow.ts")).follow },
    "guard-migrate": guard(guardMigrateContract),
    canary: { phase: "migrate", load: async () => (await import("./canary.ts")).canary },
    settle: { phase: "migrate", load: async () => (await import("./settle.ts")).settle },
    fence: { phase: "migrate", load: async () => (await import("./fence.ts")).fence },
    "catch-up": { phase: "migrate", load: async () => (await import("./catchUp.ts")).catchUp },
    dump: { phase: "migrate", load: async () => (await import("./dump.ts")).dump },
    safeguard: { phase: "migrate", load: async () => (await import("./safeguard.ts")).safeguard },
    restore: { phase: "migrate", load: async () => (await import("./restore.ts")).restore },
    copy: { phase: "migrate", load: async () => (await import("./copy.ts")).copy },
    "media-final": { phase: "migrate", load: async () => (await import("./mediaFinal.ts")).mediaFinal },
    import: { phase: "migrate", load: async () => (await import("./import.ts")).importDump },
    "import-media": { phase: "migrate", load: async () => (await import("./importMedia.ts")).importMedia },
    "hand-media": { phase: "migrate", load: async () => (await import("./handMedia.ts")).handMedia },
    verify: { phase: "migrate", load: async () => (await import("./verify.ts")).verify },
    swap: { phase: "migrate", load: async () => (await import("./swap.ts")).swap },
    start: { phase: "migrate", load: async () => (await import("./start.ts")).start },
    probe: { phase: "migrate", load: async () => (await import("./probe.ts")).probe },
    "purge-remote-media": {
        phase: "migrate",
        load: async () => (await import("./purgeRemoteMedia.ts")).purgeRemoteMedia,
    },
    "export-database": { phase: "migrate", load: async () => (await import("./exportDatabase.ts")).exportDatabase },
    "export-media": { phase: "migrate", load: async () => (await import("./exportMedia.ts")).exportMedia },
    "export-config": { phase: "migrate", load: async () => (await import("./exportConfig.ts")).exportConfig },
    "seal-bundle": { phase: "migrate", load: async () => (await import("./sealBundle.ts")).sealBundle },
    "verify-bundle": { phase: "migrate", load: async () => (await import("./verifyBundle.ts")).verifyBundle },
    "guard-cutover": guard(guardCutoverContract),
    commit: { phase: "cutover", load: async () => (await import("./commit.ts")).commit },
    "hand-over": { phase: "cutover", load: async () => (await import("./handOver.ts")).handOver },
    open: { phase: "cutover", load: async () => (await import("./open.ts")).open },
    cleanup: { phase: "finish", load: async () => (await import("./cleanup.ts")).cleanup },
    "clear-export": { phase: "finish", load: async () => (await import("./clearExport.ts")).clearExport },
    report: { phase: "assess", load: async () => (await import("./report.ts")).report },
};

export const stepNames: readonly string[] = Object.keys(entries);

/** The phase of a step, without loading it. */
export function phaseOf(name: string): Phase | undefined {
    return entries[name]?.phase;
}

export async function stepNamed(name: string): Promise<AnyStep | undefined> {
    return entries[name]?.load();
}
