/** The machine that a migration's source is on. */
import type { Source } from "../../contract/source.ts";
import type { Machine } from "./machine.ts";
import { openMachine } from "./openMachine.ts";

/** Files that carry a homeserver are where this program runs. */
export function sourceMachine(source: Source): Machine {
    return openMachine(source.kind === "selfHosted" ? source.machine : { kind: "local" });
}
