/**
 * What keeps a homeserver's container from being one again: the restart policy `no`, and a limit of one task (docker-update(1), `--restart`,
 * `--pids-limit`). Both are settings of the container itself that can be changed back; neither is undone by a reboot or by the engine's restart.
 *
 * As it was tried with Docker 20.10 and Compose 2.26:
 *
 * - with the restart policy `no` alone, `docker compose up -d` and `docker start` start a stopped container at once: the policy is asked only when
 *   a container has ended by itself, or the engine begins;
 * - with the limit of one task they start it as well, and Synapse ends within seconds, before it listens anywhere ("can't start new thread"): it
 *   cannot make the threads that its database is asked with. Without a restart policy nobody starts it again;
 * - a limit of memory would end it sooner, and cannot be taken back: Docker takes 0 for "unchanged";
 * - a container that is renamed is found by its labels all the same; one that is disconnected from its networks is made anew by later versions of
 *   Compose, and gets other addresses when it is connected again;
 * - what makes a new container (`up --force-recreate`, `up` after a change of the file, `down` and `up`) is not kept from it. It runs without a
 *   hold, against a database that the fence has made read-only, and is told by its name by whoever looks next.
 *
 * Taken back, `PidsLimit` is 0 where it may have been null: both are no limit.
 */
import type { Machine } from "../../machines/machine.ts";
import { MigrationError } from "../../run/errors.ts";
import type { RecordedContainer } from "../serviceControl.ts";
import { describeContainer, type ContainerFacts } from "./containerFacts.ts";
import { allContainers, tell, type EngineName } from "./engineCalls.ts";

/** No homeserver can run with it, so whoever has it is held. */
const heldLimit = 1;
const updateSeconds = 60;

export const isHeld = ({ restart, pidsLimit }: Pick<ContainerFacts, "restart" | "pidsLimit">): boolean =>
    restart === "no" && pidsLimit === heldLimit;

export interface Holding {
    readonly machine: Machine;
    readonly engine: EngineName;
    readonly signal?: AbortSignal | undefined;
}

/** So that the engine itself does not start them again while they are stopped. @throws MigrationError SM-E1474 */
export function withoutRestart(holding: Holding, ids: readonly string[]): Promise<void> {
    return update(holding, ids, ["--restart=no"], "nothing was stopped");
}

/**
 * Holds containers that are stopped. One that ran with it would fail its users before it ends.
 *
 * @throws MigrationError SM-E1474 where the engine refuses, or does not keep it
 */
export async function hold(holding: Holding, ids: readonly string[]): Promise<void> {
    const changed = "its containers were stopped, with the restart policy `no`";
    await update(holding, ids, ["--restart=no", `--pids-limit=${heldLimit}`], changed);
    const seen = (await allContainers(holding.machine, holding.engine)).filter(({ id }) => ids.includes(id));
    const without = seen.filter((one) => !isHeld(one));
    if (without.length === 0) return;
    throw new MigrationError("SM-E1474", {
        where: `${without.map(({ name }) => name).join(", ")} on ${holding.machine.name}`,
        found: `${holding.engine} has not kept the limit: ${without.map(describeContainer).join("; ")}`,
        changed,
    });
}

/** Gives a container back what it had. */
export function letGo(holding: Holding, { id, restart, pidsLimit }: RecordedContainer): Promise<void> {
    const limit = pidsLimit === 0 ? "-1" : String(pidsLimit);
    return update(
        holding,
        [id],
        [`--restart=${restart}`, `--pids-limit=${limit}`],
        "its containers are held, or some of them",
    );
}

async function update(
    { machine, engine, signal }: Holding,
    ids: readonly string[],
    settings: readonly string[],
    changed: string,
): Promise<void> {
    if (ids.length === 0) return;
    const said = await tell(machine, engine, ["update", ...settings, ...ids], { seconds: updateSeconds, signal });
    if (said === undefined) return;
    throw new MigrationError("SM-E1474", {
        where: `${engine} update on ${machine.name}`,
        found: said,
        changed,
    });
}
