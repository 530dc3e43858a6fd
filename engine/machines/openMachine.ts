/** The machines that this process works on: each is connected once, however many parts of a step ask for it, and let go at the end. */
import type { MachineDescription } from "../../contract/machine.ts";
import { thisMachine } from "./local/localMachine.ts";
import type { Machine } from "./machine.ts";
import { closeRelays } from "./relay/localRelay.ts";
import { sshMachine, type HeldMachine } from "./ssh/sshMachine.ts";

const held = new Map<string, HeldMachine>();

/** Connects to nothing: that comes with the first thing that is asked of it. */
export function openMachine(description: MachineDescription): Machine {
    if (description.kind === "local") return thisMachine;
    const key = JSON.stringify(description);
    const machine = held.get(key) ?? sshMachine(description);
    held.set(key, machine);
    return machine;
}

/** Ends all connections, and relays on this machine: without it they keep this process from ending. */
export async function closeMachines(): Promise<void> {
    const machines = [...held.values()];
    held.clear();
    await Promise.all([...machines.map((machine) => machine.close()), closeRelays()]);
}
