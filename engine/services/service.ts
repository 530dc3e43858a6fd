/** How the source homeserver is stopped and started again, whatever kind of service it is. */
import type { Service } from "../../contract/index.ts";
import { processService } from "./processService.ts";
import type { ServiceControl } from "./serviceControl.ts";

/** The control of a service of the given kind. Every kind added to the contract gets its case here. */
export function serviceControl(service: Service, options: { readonly signal?: AbortSignal } = {}): ServiceControl {
    return processService(service, options);
}
