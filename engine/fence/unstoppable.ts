/** A source that the fence would refuse to stop: said while it serves, before anything of the target is made. */
import type { SelfHostedSource } from "../../contract/index.ts";
import { MigrationError } from "../run/errors.ts";
import { sourceService } from "../services/service.ts";
import type { Obstacle } from "./obstacles.ts";

/** What `refuseUnstoppable` of its service throws. */
export async function unstoppable(source: SelfHostedSource): Promise<Obstacle[]> {
    try {
        await sourceService(source).refuseUnstoppable();
        return [];
    } catch (error) {
        if (!(error instanceof MigrationError)) throw error;
        const { found, fix } = error.detail;
        return [{ code: error.code, found, ...(fix === undefined ? {} : { fix }) }];
    }
}
