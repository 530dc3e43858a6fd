/** How the installed homeserver ran before it was stopped for the move: kept in the run's directory, so that it can run so again. */
import { join } from "node:path";
import { removePrivateFile, writePrivateFile } from "../run/atomicFile.ts";
import { parseJson } from "../run/parseJson.ts";
import { readTrusted } from "../run/trustedFile.ts";
import { stoppedService, type StoppedService } from "../services/serviceControl.ts";

const recordOf = (runDirectory: string): string => join(runDirectory, "vacated.json");

/** Undefined where this run has stopped nothing. */
export async function vacated(runDirectory: string): Promise<StoppedService | undefined> {
    const text = await readTrusted(recordOf(runDirectory));
    return text === undefined ? undefined : stoppedService.parse(parseJson(text));
}

/** Before anything is stopped: an attempt that was killed in the middle must not forget it. */
export async function keepVacated(runDirectory: string, service: StoppedService): Promise<void> {
    await writePrivateFile(recordOf(runDirectory), `${JSON.stringify(service)}\n`);
}

export const forgetVacated = (runDirectory: string): Promise<void> => removePrivateFile(recordOf(runDirectory));

/** @throws Error where this run has stopped nothing: the order of the steps sees to it that it has */
export async function requireVacated(runDirectory: string): Promise<StoppedService> {
    const service = await vacated(runDirectory);
    if (service === undefined)
        throw new Error("how the installed homeserver ran is not recorded in the run's directory");
    return service;
}
