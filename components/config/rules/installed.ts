/** What a target that an installer has made cannot have. */
import { isDeepStrictEqual } from "node:util";
import type { MigrationError } from "../../../engine/run/errors.ts";
import { invalidValue, type Locate } from "../problems.ts";
import type { PlainConfig } from "../schema.ts";

export function installedProblems({ source, target, rehearsal, copy }: PlainConfig, locate: Locate): MigrationError[] {
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
    // Neither is assessed for such a target yet.
    if (source.kind !== "selfHosted")
        problems.push(
            invalidValue(["source", "kind"], source.kind, "selfHosted: only such a source is moved into it", locate),
        );
    if (copy === "port")
        problems.push(invalidValue(["copy"], copy, "direct or archive, with a target of kind installed", locate));
    if (
        source.kind === "selfHosted" &&
        isDeepStrictEqual([source.machine, source.service], [target.machine, target.service])
    )
        problems.push(invalidValue(["target", "service"], target.service, "another service than the source's", locate));
    return problems;
}
