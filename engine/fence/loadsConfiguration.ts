/** The last look at what the target is started with: does its Synapse still load the configuration that was written, with what is installed now? */
import { dirname, join } from "node:path";
import { readFile } from "node:fs/promises";
import { z } from "zod";
import { assessContract, configureContract } from "../../contract/index.ts";
import { targetUser } from "../machines/targetUser.ts";
import { MigrationError, throwAll } from "../run/errors.ts";
import { parseJson } from "../run/parseJson.ts";
import { runDirectoryPaths } from "../run/runDirectory.ts";
import type { StepRun } from "../run/step.ts";
import { stepState } from "../run/stepState.ts";
import type { HomeserverConfig } from "../synapse/config/homeserverConfig.ts";
import { loadWithSynapse, refusalOf } from "../synapse/config/loadWithSynapse.ts";
import { registerSecrets } from "../synapse/secrets/registerSecrets.ts";

const configured = z.looseObject({ configFiles: z.array(z.string()), pidFile: z.string() });
const assessed = z.looseObject({ targetPython: z.string() });

/**
 * Loads the files that the step `configure` has written, with the Python that was assessed, as the user and in the directory that it will be
 * started as and in. Synapse's driver connects to the target's server, and Synapse says whether it takes its version.
 *
 * A run that has no such step or was assessed by an earlier version says that it was not looked at: its start will tell.
 *
 * @throws MigrationErrors SM-E0524 and SM-E0525, all at once; SM-E0526 when it cannot be run
 */
export async function refuseUnloadable(run: StepRun, config: HomeserverConfig): Promise<void> {
    const written = configured.safeParse(stepState(await run.journal.read(), configureContract.name).result);
    const spec = await readFile(join(runDirectoryPaths(run.directory).specs, `${assessContract.name}.json`), "utf8")
        .then(parseJson)
        .catch(() => undefined);
    const known = assessed.safeParse(spec);
    if (!written.success || !known.success) {
        run.progress.say(
            "not looked whether the target's Synapse loads its configuration: this run has no record of it",
        );
        return;
    }
    const { configFiles, pidFile } = written.data;
    const { targetPython: python } = known.data;
    const workingDirectory = dirname(pidFile);
    await registerSecrets(config);
    const { version, problems } = await loadWithSynapse([configFiles], {
        python,
        user: await targetUser(workingDirectory),
        workingDirectory,
        server: "connect",
        signal: run.signal,
    }).catch((error: unknown) => {
        if (!(error instanceof MigrationError) || error.code !== "SM-E1101") throw error;
        throw unusable(python, error.detail.found);
    });
    const found = problems.flat();
    if (version === null) throw unusable(python, found.map(({ message }) => message).join("\n"));
    throwAll(
        found.map((problem) => {
            const { code, ...refusal } = refusalOf(problem, python, version);
            return new MigrationError(code, { where: configFiles.join(", "), ...refusal });
        }),
    );
}

function unusable(where: string, found: string): MigrationError {
    return new MigrationError("SM-E0526", { where, found });
}
