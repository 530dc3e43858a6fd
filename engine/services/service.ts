/** How the source homeserver is stopped and started again, whatever kind of service it is. */
import { z } from "zod";
import type { Service } from "../../contract/index.ts";
import { processService, recordedProcess } from "./processService.ts";

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
     * Starts the service as it ran before it was stopped. One that runs already is left alone.
     *
     * @throws MigrationError SM-E0712
     */
    start(record: StoppedService): Promise<void>;
}

/** The control of a service of the given kind. Every kind added to the contract gets its case here. */
export function serviceControl(service: Service, options: { readonly signal?: AbortSignal } = {}): ServiceControl {
    return processService(service, options);
}
