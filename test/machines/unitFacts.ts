/** What units of a booted machine say and have, for tests of what starts them again exactly as they were. */
import type { BootedMachine } from "../../rehearsal/machines/machine.ts";

/** State, enablement, drop-ins and links of units, and every file that administrators have: the same text when all of it is the same. */
export async function unitFacts(machine: BootedMachine, units: readonly string[]): Promise<string> {
    const properties = "Id,ActiveState,UnitFileState,DropInPaths,NeedDaemonReload,WantedBy";
    const states = await machine.run(["systemctl", "show", `--property=${properties}`, ...units]);
    const files = await machine.run(["find", "/etc/systemd/system", "-printf", "%p %y %m %U %l\\n"]);
    const inOrder = states.split("\n").map((line) => line.split(/[ =]/).sort().join(" "));
    return [...inOrder, ...files.split("\n").sort()].join("\n");
}

/** Runs each `systemctl <command>`, and has what that does come to its end. */
export async function typeSystemctl(machine: BootedMachine, commands: readonly (readonly string[])[]): Promise<void> {
    for (const command of commands) await machine.run(["systemctl", ...command]).catch(() => "");
}
