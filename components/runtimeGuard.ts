/**
 * Refuses to be run by what the program is not made for: SM-E0223, SM-E0224, SM-E0225.
 *
 * Imported before everything else, for this effect: modules are evaluated in the order of their imports, and those that come
 * later may already fail on an older Node. Nothing here may wait: the modules beside it would not.
 */
import { MigrationError, throwAll } from "../engine/run/errors.ts";
import { installedVersion } from "../toolchain/installedPackages.ts";
import { nodeProblem, packageProblem, pinnedNames } from "../toolchain/runtimeRules.ts";
import { readableError } from "./readableError.ts";

/** Pulumi's language host says in this variable that the program runs in TypeScript mode (cmd/run/run.js of `@pulumi/pulumi`). */
function typescriptModeProblem(mode: string | undefined): MigrationError | undefined {
    if (mode !== "true") return undefined;
    return new MigrationError("SM-E0225", {
        where: "Pulumi.yaml runtime.options.typescript",
        found: "Pulumi's TypeScript mode, which is on unless it is switched off",
        expected: "typescript: false",
    });
}

try {
    const problems = [
        nodeProblem(process.versions.node, process.execPath),
        ...pinnedNames.map((name) => packageProblem(name, installedVersion(name))),
        typescriptModeProblem(process.env["PULUMI_NODEJS_TYPESCRIPT"]),
    ];
    throwAll(problems.filter((problem) => problem !== undefined));
} catch (error) {
    throw readableError(error);
}
