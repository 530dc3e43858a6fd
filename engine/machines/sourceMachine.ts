/** The machine that a source is on. */
import type { Source } from "../../contract/source.ts";
import type { Machine } from "./machine.ts";
import { openMachine } from "./openMachine.ts";

/** A bundle's files are here always. */
export function sourceMachine(_source: Source): Machine {
    // Until the contract says where a source is: `openMachine(source.kind === "selfHosted" ? (source.machine ?? {kind: "local"}) : …)`.
    return openMachine({ kind: "local" });
}
