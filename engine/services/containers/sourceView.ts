/** The view of a migration's source that runs in a container, whatever runs that. */
import type { SelfHostedSource } from "../../../contract/index.ts";
import type { Machine } from "../../machines/machine.ts";
import { showUnits } from "../systemd/systemctl.ts";
import { viewOf, type ContainerView } from "./containerView.ts";
import { allContainers } from "./engineCalls.ts";
import { engineOf, namedContainers } from "./look.ts";
import { viewOfUnit } from "./unitView.ts";

/**
 * Of the source's main process; undefined for one that runs on its machine itself.
 *
 * @throws MigrationError SM-E1470, SM-E1471, SM-E1477
 */
export async function sourceView(
    { service }: Pick<SelfHostedSource, "service">,
    machine: Machine,
): Promise<ContainerView | undefined> {
    if (service.kind === "process") return undefined;
    if (service.kind === "systemd") {
        const [main] = service.units;
        const units = await showUnits(machine, main === undefined ? [] : [main]);
        return viewOfUnit(machine, [...units.values()][0]);
    }
    const engine = engineOf(service);
    const all = await allContainers(machine, engine);
    const [main] = namedContainers(service, all, machine);
    return viewOf(main, { machine, engine, all });
}
