/**
 * All steps, by name. Each is loaded when it is called: a migration calls two dozen of them, each in a process of its own, and most of the
 * time of a short one would be spent loading the others.
 */
import { cutoverUndoContract, migrateUndoContract, stageUndoContract, type Phase } from "../contract/index.ts";
import { undoPhaseStep } from "./undoPhase.ts";
import type { AnyStep } from "../engine/run/openStep.ts";

interface Entry {
    /** Of the contract; a test compares. */
    readonly phase: Phase;
    readonly load: () => Promise<AnyStep>;
}

const phaseUndo = (contract: typeof stageUndoContract): Entry => ({
    phase: contract.phase,
    load: () => Promise.resolve(undoPhaseStep(contract, stepNamed)),
});

/** In the order of a migration. */
const entries: Readonly<Record<string, Entry>> = {
    assess: { phase: "assess", load: async () => (await import("./assess/assess.ts")).assess },
    "guard-stage": phaseUndo(stageUndoContract),
    secrets: { phase: "stage", load: async () => (await import("./stage/secrets.ts")).secrets },
    database: { phase: "stage", load: async () => (await import("./stage/database.ts")).database },
    "installed-database": {
        phase: "stage",
        load: async () => (await import("./stage/installedDatabase.ts")).installedDatabase,
    },
    "media-storage": { phase: "stage", load: async () => (await import("./stage/mediaStorage.ts")).mediaStorage },
    configure: { phase: "stage", load: async () => (await import("./stage/configure.ts")).configure },
    gateway: { phase: "stage", load: async () => (await import("./stage/gateway.ts")).gateway },
    "prepare-bundle": { phase: "stage", load: async () => (await import("./export/prepareBundle.ts")).prepareBundle },
    "media-early": { phase: "stage", load: async () => (await import("./stage/mediaEarly.ts")).mediaEarly },
    "place-media-early": {
        phase: "stage",
        load: async () => (await import("./stage/placeMediaEarly.ts")).placeMediaEarly,
    },
    follow: { phase: "stage", load: async () => (await import("./stage/follow.ts")).follow },
    "guard-migrate": phaseUndo(migrateUndoContract),
    vacate: { phase: "migrate", load: async () => (await import("./migrate/vacate.ts")).vacate },
    canary: { phase: "migrate", load: async () => (await import("./migrate/canary.ts")).canary },
    settle: { phase: "migrate", load: async () => (await import("./migrate/settle.ts")).settle },
    fence: { phase: "migrate", load: async () => (await import("./migrate/fence.ts")).fence },
    "give-back": {
        phase: "migrate",
        load: async () => (await import("./migrate/giveBack.ts")).giveBackStep(stepNamed),
    },
    "catch-up": { phase: "migrate", load: async () => (await import("./migrate/catchUp.ts")).catchUp },
    dump: { phase: "migrate", load: async () => (await import("./migrate/dump.ts")).dump },
    safeguard: { phase: "migrate", load: async () => (await import("./migrate/safeguard.ts")).safeguard },
    restore: { phase: "migrate", load: async () => (await import("./migrate/restore.ts")).restore },
    copy: { phase: "migrate", load: async () => (await import("./migrate/directCopy.ts")).copy },
    "media-final": { phase: "migrate", load: async () => (await import("./migrate/mediaFinal.ts")).mediaFinal },
    "take-file": { phase: "migrate", load: async () => (await import("./migrate/takeFile.ts")).takeFile },
    import: { phase: "migrate", load: async () => (await import("./migrate/import.ts")).importDump },
    "import-media": { phase: "migrate", load: async () => (await import("./migrate/importMedia.ts")).importMedia },
    "hand-media": { phase: "migrate", load: async () => (await import("./migrate/handMedia.ts")).handMedia },
    verify: { phase: "migrate", load: async () => (await import("./migrate/verify.ts")).verify },
    swap: { phase: "migrate", load: async () => (await import("./migrate/swap.ts")).swap },
    "place-media": { phase: "migrate", load: async () => (await import("./migrate/placeMedia.ts")).placeMedia },
    identity: { phase: "migrate", load: async () => (await import("./migrate/identity.ts")).identity },
    "start-installed": {
        phase: "migrate",
        load: async () => (await import("./migrate/startInstalled.ts")).startInstalled,
    },
    start: { phase: "migrate", load: async () => (await import("./migrate/start.ts")).start },
    probe: { phase: "migrate", load: async () => (await import("./migrate/probe.ts")).probe },
    "purge-remote-media": {
        phase: "migrate",
        load: async () => (await import("./migrate/purgeRemoteMedia.ts")).purgeRemoteMedia,
    },
    "export-database": {
        phase: "migrate",
        load: async () => (await import("./export/exportDatabase.ts")).exportDatabase,
    },
    "export-media": { phase: "migrate", load: async () => (await import("./export/exportMedia.ts")).exportMedia },
    "export-config": { phase: "migrate", load: async () => (await import("./export/exportConfig.ts")).exportConfig },
    "seal-bundle": { phase: "migrate", load: async () => (await import("./export/sealBundle.ts")).sealBundle },
    "verify-bundle": { phase: "migrate", load: async () => (await import("./export/verifyBundle.ts")).verifyBundle },
    "guard-cutover": phaseUndo(cutoverUndoContract),
    commit: { phase: "cutover", load: async () => (await import("./cutover/commit.ts")).commit },
    "hand-over": { phase: "cutover", load: async () => (await import("./export/handOver.ts")).handOver },
    open: { phase: "cutover", load: async () => (await import("./cutover/open.ts")).open },
    "open-installed": {
        phase: "cutover",
        load: async () => (await import("./cutover/openInstalled.ts")).openInstalled,
    },
    "clear-traces": { phase: "cutover", load: async () => (await import("./cutover/clearTraces.ts")).clearTraces },
    cleanup: { phase: "finish", load: async () => (await import("./finish/cleanup.ts")).cleanup },
    "clear-export": { phase: "finish", load: async () => (await import("./export/clearExport.ts")).clearExport },
    report: { phase: "assess", load: async () => (await import("./finish/report.ts")).report },
};

export const stepNames: readonly string[] = Object.keys(entries);

/** The phase of a step, without loading it. */
export function phaseOf(name: string): Phase | undefined {
    return entries[name]?.phase;
}

export async function stepNamed(name: string): Promise<AnyStep | undefined> {
    return entries[name]?.load();
}
