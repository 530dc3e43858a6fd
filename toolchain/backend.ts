/**
 * Whether Pulumi knows where to keep a stack.
 *
 * Without a login it asks for a token of its maker's service, which is only one of the places there are: its own words lead a newcomer nowhere.
 */
import { MigrationError } from "../engine/run/errors.ts";

/** What the CLI says of a backend (pulumi pkg/backend/httpstate/backend.go and pkg/backend/diy/backend.go). */
const words =
    /PULUMI_ACCESS_TOKEN must be set for login|unable to open bucket|could not find any credentials|not logged in/i;

/** The error of a failed Pulumi command as SM-E0234 when it failed for its backend, else as it is. */
export function backendNamed(error: unknown): unknown {
    if (!(error instanceof MigrationError)) return error;
    const said = error.detail.found.split("\n").find((line) => words.test(line));
    if (said === undefined) return error;
    return new MigrationError("SM-E0234", {
        where: "`pulumi stack ls`",
        found: said.trim(),
        expected: "a backend that Pulumi is logged in to, or PULUMI_BACKEND_URL",
        changed: "nothing",
        cause: error,
    });
}
