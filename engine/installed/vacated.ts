/** How the installed homeserver ran before it was stopped for the move: kept, so that it can run so again. */
import { join } from "node:path";
import { removePrivateFile, writePrivateFile } from "../run/atomicFile.ts";
import { parseJson } from "../run/parseJson.ts";
import { readTrusted } from "../run/trustedFile.ts";
import { stoppedService, type StoppedService } from "../services/serviceControl.ts";

const recordOf = (directory: string): string => join(directory, "vacated.json");

/** Undefined where no run has stopped it. */
export async function vacated(directory: string): Promise<StoppedService | undefined> {
    const text = await readTrusted(recordOf(directory));
    return text === undefined ? undefined : stoppedService.parse(parseJson(text));
}

/** Before anything is stopped: an attempt that was killed in the middle must not forget it. */
export async function keepVacated(directory: string, service: StoppedService): Promise<void> {
    await writePrivateFile(recordOf(directory), `${JSON.stringify(service)}\n`);
}

export const forgetVacated = (directory: string): Promise<void> => removePrivateFile(recordOf(directory));

/** @throws Error where it was not stopped: the order of the steps sees to it that it was */
export async function requireVacated(directory: string): Promise<StoppedService> {
    const service = await vacated(directory);
    if (service === undefined) throw new Error("how the installed homeserver ran is not recorded");
    return service;
}
