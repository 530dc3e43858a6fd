/** How the source homeserver is stopped and started again, whatever kind of service it is, on whatever machine. */
import type { SelfHostedSource, Service } from "../../contract/index.ts";
import type { Machine } from "../machines/machine.ts";
import { sourceMachine } from "../machines/sourceMachine.ts";
import { containerService } from "./containers/containerService.ts";
import { processService } from "./processService.ts";
import type { ServiceControl } from "./serviceControl.ts";
import { systemdService } from "./systemd/systemdService.ts";

export interface ServiceOptions {
    readonly signal?: AbortSignal | undefined;
    /** Files and directories of the configuration as the service itself is given them: its processes are also found by these. */
    readonly configFiles?: readonly string[];
}

/** The control of a service of the given kind. Every kind added to the contract gets its case here. */
export function serviceControl(service: Service, machine: Machine, options: ServiceOptions = {}): ServiceControl {
    switch (service.kind) {
        case "process":
            return processService(service, machine, options);
        case "systemd":
            return systemdService(service, machine, options);
        case "container":
        case "compose":
            return containerService(service, machine, options);
    }
}

export function sourceService(source: SelfHostedSource, signal?: AbortSignal): ServiceControl {
    return serviceControl(source.service, sourceMachine(source), { signal, configFiles: source.homeserverConfig });
}
