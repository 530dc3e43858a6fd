/** What a target that an installer has made cannot have. */
import { isDeepStrictEqual } from "node:util";
import type { MigrationError } from "../../../engine/run/errors.ts";
import { invalidValue, type Locate } from "../problems.ts";
import type { PlainConfig } from "../schema.ts";

export function installedProblems({ source, target, rehearsal }: PlainConfig, locate: Locate): MigrationError[] {
    if (target.kind !== "installed") return [];
    const problems: MigrationError[] = [];
    if (rehearsal)
        problems.push(
            invalidValue(
                ["rehearsal"],
                true,
                "false: an installed homeserver would be started with the production signing key; rehearse with a target of kind local",
                locate,
            ),
        );
    if (
        source.kind === "selfHosted" &&
        isDeepStrictEqual([source.machine, source.service], [target.machine, target.service])
    )
        problems.push(invalidValue(["target", "service"], target.service, "another service than the source's", locate));
    return problems;
}
