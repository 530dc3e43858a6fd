/** Asks and tells a machine's container engine, by the program that its administrators use. */
import type { ContainedService } from "../../../contract/index.ts";
import type { Machine } from "../../machines/machine.ts";
import { MigrationError } from "../../run/errors.ts";
import { parseJson } from "../../run/parseJson.ts";
import { containersIn, type ContainerFacts } from "./containerFacts.ts";

export type EngineName = NonNullable<ContainedService["engine"]>;

/** Of programs that are called as units call them. */
export function engineNamed(program: string | undefined): EngineName | undefined {
    return program === "docker" || program === "podman" ? program : undefined;
}

const askSeconds = 60;
const attempts = 3;

/** As `docker` may be called: nothing but what is asked for, in English. */
const environment = { LC_ALL: "C" };

/**
 * All containers that there are, running or not.
 *
 * @throws MigrationError SM-E1471 where the engine is not there, does not answer, or is not ours to ask
 */
export async function allContainers(machine: Machine, engine: EngineName): Promise<ContainerFacts[]> {
    for (let attempt = 1; ; attempt++) {
        try {
            const ids = (await ask(machine, engine, ["ps", "--all", "--quiet", "--no-trunc"]))
                .split("\n")
                .filter((id) => id !== "");
            if (ids.length === 0) return [];
            return containersIn(parseJson(await ask(machine, engine, ["inspect", "--type", "container", ...ids])));
        } catch (error) {
            // One that was removed between the two questions.
            const isGone = error instanceof MigrationError && /no such (container|object)/i.test(error.detail.found);
            if (!isGone || attempt === attempts) throw error;
        }
    }
}

/** Where a volume is on the machine; undefined for one that is not there. */
export async function volumePlace(machine: Machine, engine: EngineName, name: string): Promise<string | undefined> {
    const answer = await ask(machine, engine, ["volume", "inspect", "--format", "{{.Mountpoint}}", name]).catch(
        () => "",
    );
    return answer.trim() === "" ? undefined : answer.trim();
}

/** By its name, and where its answer has the gateway. */
const usualNetworks: Readonly<Record<EngineName, readonly [string, string]>> = {
    docker: ["bridge", "{{range .IPAM.Config}}{{.Gateway}} {{end}}"],
    podman: ["podman", "{{range .Subnets}}{{.Gateway}} {{end}}"],
};

/** The machine's own address on the network that containers are on where they say nothing else; undefined where there is none. */
export async function bridgeGateway(machine: Machine, engine: EngineName): Promise<string | undefined> {
    const [network, format] = usualNetworks[engine];
    const answer = await ask(machine, engine, ["network", "inspect", "--format", format, network]).catch(() => "");
    return answer.split(/\s+/).find((one) => one !== "");
}

export interface Telling {
    readonly seconds: number;
    readonly signal?: AbortSignal | undefined;
}

/** Has something done to containers. @returns what the engine has said where it has refused */
export async function tell(
    machine: Machine,
    engine: EngineName,
    args: readonly string[],
    { seconds, signal }: Telling,
): Promise<string | undefined> {
    try {
        await machine.run(engine, args, {
            timeoutSeconds: seconds,
            environment,
            ...(signal === undefined ? {} : { signal }),
        });
        return undefined;
    } catch (error) {
        if (!(error instanceof MigrationError) || error.code !== "SM-E1101") throw error;
        signal?.throwIfAborted();
        return error.detail.found;
    }
}

async function ask(machine: Machine, engine: EngineName, args: readonly string[]): Promise<string> {
    try {
        return (await machine.run(engine, args, { timeoutSeconds: askSeconds, environment })).stdout;
    } catch (error) {
        if (!(error instanceof MigrationError) || error.code !== "SM-E1101") throw error;
        throw new MigrationError("SM-E1471", {
            where: `${engine} on ${machine.name}`,
            found: error.detail.found,
            expected: `an answer to \`${engine} ${args[0] ?? ""}\``,
            cause: error,
        });
    }
}
