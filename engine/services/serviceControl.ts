/** What can be done with a service of whatever kind: looked at, stopped, started as it ran. */
import { z } from "zod";
import type { ProcessFacts } from "../machines/procfs.ts";

/** How a process ran. */
export const recordedProcess = z.strictObject({
    pid: z.number().int(),
    /** Clock ticks since boot. */
    startTicks: z.string(),
    argv: z.array(z.string()).min(1),
    workingDirectory: z.string(),
    uid: z.number().int(),
    gid: z.number().int(),
    groups: z.array(z.number().int()),
    umask: z.number().int(),
    environment: z.record(z.string(), z.string()),
    /** Names of variables that it had and that a start by us will not give it. */
    otherVariables: z.array(z.string()),
    ports: z.array(z.number().int()),
});
export type RecordedProcess = z.infer<typeof recordedProcess>;

const stoppedProcess = z.strictObject({
    kind: z.literal("process"),
    /** Absent when it did not run before; then it is not started afterwards. */
    process: recordedProcess.optional(),
});
export type StoppedProcess = z.infer<typeof stoppedProcess>;

/** A unit of systemd as it was. */
const recordedUnit = z.strictObject({
    name: z.string(),
    /**
     * What it is to the homeserver. `alongside`: none of its own, stopped with it because of how it depends on it; it is started again, and never
     * kept from starting.
     */
    part: z.enum(["main", "worker", "trigger", "target", "alongside"]),
    active: z.boolean(),
    /** As `systemctl is-enabled` says it. Nothing changes it. */
    enabled: z.string(),
});
export type RecordedUnit = z.infer<typeof recordedUnit>;

const stoppedUnits = z.strictObject({
    kind: z.literal("systemd"),
    /** In the order in which they are started. */
    units: z.array(recordedUnit).min(1),
    /** Files and directories that its processes were started with. */
    configFiles: z.array(z.string()),
    /** That its processes listened on. */
    ports: z.array(z.number().int()),
});
export type StoppedUnits = z.infer<typeof stoppedUnits>;

/** A container as it was. */
const recordedContainer = z.strictObject({
    id: z.string(),
    name: z.string(),
    part: z.enum(["main", "worker"]),
    /** Of Compose, by which a container that has taken its place is known. */
    composeService: z.strictObject({ project: z.string(), service: z.string() }).optional(),
    active: z.boolean(),
    /** As `docker update --restart` has it: `unless-stopped`, `on-failure:3`. */
    restart: z.string(),
    /** How many tasks it may have; 0 for any number. */
    pidsLimit: z.number().int(),
});
export type RecordedContainer = z.infer<typeof recordedContainer>;

const stoppedContainers = z.strictObject({
    kind: z.literal("containers"),
    /** In the order in which they are started. */
    containers: z.array(recordedContainer).min(1),
    /** Files and directories that its processes were started with, as their machine has them. */
    configFiles: z.array(z.string()),
    /** Of the machine, that lead to it. */
    ports: z.array(z.number().int()),
});
export type StoppedContainers = z.infer<typeof stoppedContainers>;

/** How a service ran when it was stopped: all that is needed to start it again as it was. Holds no secret, may be kept and shown. */
export const stoppedService = z.discriminatedUnion("kind", [stoppedProcess, stoppedUnits, stoppedContainers]);
export type StoppedService = z.infer<typeof stoppedService>;

/** Whether anything of it ran, so that it is started again afterwards. */
export function ranBefore(stopped: StoppedService): boolean {
    if (stopped.kind === "process") return stopped.process !== undefined;
    if (stopped.kind === "containers") return stopped.containers.some(({ active }) => active);
    return stopped.units.some(({ active, part }) => active && (part === "main" || part === "worker"));
}

export interface ServiceStatus {
    readonly running: boolean;
    /** How it runs now. Keep it before calling {@link ServiceControl.stop}: a kill in between must not lose it. */
    readonly record: StoppedService;
    /** What was looked at and what was seen, a line each, for findings and reports: also what would start it again. */
    readonly evidence: readonly string[];
    /** Live processes of it, the main one first. */
    readonly processes: readonly ProcessFacts[];
}

export interface WatchedService {
    /** For how long it was seen to stay down. */
    readonly seconds: number;
    /** What keeps it down, in words that go on after "nothing took its place". */
    readonly evidence: string;
}

export interface ServiceControl {
    /** For messages: a pid file or units, and the machine where it is another one. */
    readonly name: string;
    /** Looks, changes nothing. */
    status(): Promise<ServiceStatus>;
    /**
     * Refuses, while it serves, what {@link stop} would refuse before it stops anything: what may not be stopped from here, or could not be
     * started again. Changes nothing.
     *
     * @throws MigrationError SM-E0712, SM-E1422 (units of systemd), SM-E1476, SM-E1478, SM-E1479 (containers)
     */
    refuseUnstoppable(): Promise<void>;
    /**
     * Stops the service and sees to it that nothing starts it again, also after a kill has ended an earlier attempt.
     *
     * @param before  how it ran, as it was kept before the first attempt; as it runs now when absent
     * @returns what there is to watch, and to start again
     * @throws MigrationError SM-E0710 (not recognised), SM-E0711 (does not end), SM-E0702 (other processes of it run, or it came back),
     *     SM-E0712 (could not be started again later; found before it is stopped), SM-E1420 to SM-E1425 (units of systemd),
     *     SM-E1470 to SM-E1479 (containers)
     */
    stop(before?: StoppedService): Promise<StoppedService>;
    /**
     * Watches what was stopped, for longer than those wait who start it again; longest where somebody was seen to keep it.
     *
     * @throws MigrationError SM-E0702 naming what came back, and who keeps it
     */
    staysDown(stopped: StoppedService, signal?: AbortSignal): Promise<WatchedService>;
    /**
     * Whether anything of what ran before has ended.
     *
     * @param isEnding  it was told to, and is waited for: as long as it is there it would pass for one that serves
     * @throws Error when it does not end
     */
    hasEnded(before: StoppedService, isEnding: boolean): Promise<boolean>;
    /**
     * Starts the service as it ran before it was stopped. One that runs already is left alone.
     *
     * @param how  `comesBack`: somebody else was seen to start it, and is given the time to
     * @throws MigrationError SM-E0712
     */
    start(record: StoppedService, how?: { readonly comesBack?: boolean }): Promise<void>;
}
