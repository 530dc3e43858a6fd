/** Machines of the tests as a stack describes them. */
import type { SshMachine } from "../../contract/index.ts";
import { operator } from "./baseRecipe.ts";
import type { BootedMachine } from "./machine.ts";

/** As root, or as the operator who becomes root by sudo. */
export function describeMachine({ access }: BootedMachine, as: "root" | "sudo" = "root"): SshMachine {
    const { address, hostKey, identityFile } = access;
    const user = as === "root" ? "root" : operator;
    return {
        kind: "ssh",
        address: `${user}@${address}`,
        hostKey,
        identityFile,
        ...(as === "sudo" ? { become: "sudo" } : {}),
    };
}
