/** What Docker of a booted machine says of its containers, for tests of what is given back exactly as it was. */
import type { BootedMachine } from "../../rehearsal/machines/machine.ts";
import { untilTrue } from "../support/waiting.ts";

/** Which containers there are, whether they run, and what would start them again. */
export async function containerFacts(machine: BootedMachine): Promise<string> {
    const ids = (await machine.run(["docker", "ps", "--all", "--quiet", "--no-trunc"])).trim().split("\n").sort();
    const format = "{{.Name}} {{.Id}} {{.State.Status}} {{.HostConfig.RestartPolicy.Name}} {{.HostConfig.PidsLimit}}";
    // No limit is shown as two words, in this order of how it came about.
    return (await machine.run(["docker", "inspect", "--format", format, ...ids])).replace(/<no value>|\b0$/gm, "none");
}

/** Resolves when no container of Synapse's runs. */
export async function untilNoneRuns(machine: BootedMachine): Promise<void> {
    await untilTrue(async () => !/synapse|worker/.test(await machine.run(["docker", "ps", "--format", "{{.Names}}"])));
}
