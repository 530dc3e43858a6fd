/** Lets a held homeserver's containers start again, and starts of them what ran. */
import { MigrationError } from "../../run/errors.ts";
import { until } from "../../run/until.ts";
import type { RecordedContainer, StoppedContainers } from "../serviceControl.ts";
import { describeContainer, type ContainerFacts } from "./containerFacts.ts";
import { allContainers, tell } from "./engineCalls.ts";
import { letGo, type Holding } from "./hold.ts";

const pollMilliseconds = 300;
const answerSeconds = 60;

/**
 * The main process first, which workers ask for what they need. What did not run is let go, and not started.
 *
 * @throws MigrationError SM-E0712 naming what does not come up
 */
export async function startContainers(
    holding: Holding,
    { containers }: StoppedContainers,
    { seconds, name }: { readonly seconds: number; readonly name: string },
): Promise<void> {
    const { machine, engine, signal } = holding;
    const there = await allContainers(machine, engine);
    const failures: string[] = [];
    for (const recorded of containers) {
        const isThere = there.some(({ id }) => id === recorded.id);
        const others = containers.filter((one) => one !== recorded && isSame(one, recorded));
        if (!isThere) {
            // Compose has made another one in its place, which is in the record, too, and has its own turn.
            const isReplaced = others.some((other) => there.some(({ id }) => id === other.id));
            if (recorded.active && !isReplaced)
                failures.push(
                    `container ${recorded.name} is gone, and nothing has taken its place: \`${engine} compose up -d\` makes it anew, where Compose has made it`,
                );
            continue;
        }
        await letGo(holding, recorded);
        const ranBefore = others.some((other) => other.active && !there.some(({ id }) => id === other.id));
        if (recorded.active || ranBefore) failures.push(...(await begin(holding, recorded.id, seconds)));
    }
    signal?.throwIfAborted();
    if (failures.length === 0) return;
    throw new MigrationError("SM-E0712", {
        where: name,
        found: failures.join("\n"),
        expected: `containers that run within ${seconds} s`,
        changed: "all other containers that ran before were started, and none is held any more",
    });
}

/** By name, or as containers of the same service of Compose. */
function isSame(one: RecordedContainer, other: RecordedContainer): boolean {
    return (
        one.name === other.name ||
        (one.composeService !== undefined &&
            one.composeService.project === other.composeService?.project &&
            one.composeService.service === other.composeService.service)
    );
}

/** @returns why it has not come up */
async function begin({ machine, engine, signal }: Holding, id: string, seconds: number): Promise<string[]> {
    const said = await tell(machine, engine, ["start", id], { seconds: seconds + answerSeconds, signal });
    if (said !== undefined) return [said];
    let last: ContainerFacts | undefined;
    const isUp = await until(
        async () => {
            last = (await allContainers(machine, engine)).find((one) => one.id === id);
            if (last === undefined) return false;
            if (last.status === "running") return last.health === "starting" ? undefined : last.health !== "unhealthy";
            // With a restart policy it is tried again: the database may have been late.
            return last.status === "restarting" ? undefined : false;
        },
        { seconds, everyMilliseconds: pollMilliseconds, signal },
    );
    if (isUp === true) return [];
    return [
        last === undefined
            ? `container ${id} is gone again`
            : `${describeContainer(last)}, exit code ${last.exitCode}: \`${engine} logs --tail 50 ${last.name}\` says why`,
    ];
}
