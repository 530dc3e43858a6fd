/** What can be done with a service of whatever kind: looked at, stopped, started as it ran. */
import { z } from "zod";

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

/** How a service ran when it was stopped: all that is needed to start it again as it was. Holds no secret, may be kept and shown. */
export const stoppedService = z.discriminatedUnion("kind", [
    z.strictObject({
        kind: z.literal("process"),
        /** Absent when it did not run before; then it is not started afterwards. */
        process: recordedProcess.optional(),
    }),
]);
export type StoppedService = z.infer<typeof stoppedService>;

export interface ServiceStatus {
    readonly running: boolean;
    /** How it runs now. Keep it before calling {@link ServiceControl.stop}: a kill in between must not lose it. */
    readonly record: StoppedService;
    /** What was looked at and what was seen, a line each, for findings and reports. */
    readonly evidence: readonly string[];
}

export interface ServiceControl {
    /** Looks, changes nothing. */
    status(): Promise<ServiceStatus>;
    /**
     * Stops the service and sees to it that nothing starts it again. A service that does not run stays as it is.
     *
     * @throws MigrationError SM-E0710 (not recognised), SM-E0711 (does not end), SM-E0702 (other processes of it run, or it came back),
     *     SM-E0712 (could not be started again later; found before it is stopped)
     */
    stop(): Promise<StoppedService>;
    /**
     * Watches what was stopped, for longer than those wait who start it again; longest where somebody was seen to keep it.
     *
     * @returns for how many seconds
     * @throws MigrationError SM-E0702 naming what came back, and who keeps it
     */
    staysDown(stopped: StoppedService, signal?: AbortSignal): Promise<number>;
    /**
     * Starts the service as it ran before it was stopped. One that runs already is left alone.
     *
     * @param how  `comesBack`: somebody else was seen to start it, and is given the time to
     * @throws MigrationError SM-E0712
     */
    start(record: StoppedService, how?: { readonly comesBack?: boolean }): Promise<void>;
}
