/** Steps that do the same for targets of different kinds: whoever asks whether a target was started, or opened, means any of them. */
import { openContract } from "./cutover.ts";
import { openInstalledContract, startInstalledContract } from "./installed.ts";
import { startContract } from "./migrate.ts";

/** After one of these there may be a homeserver that signs as the source does. */
export const startSteps: readonly string[] = [startContract.name, startInstalledContract.name];
/** After one of these clients reach it. */
export const openSteps: readonly string[] = [openContract.name, openInstalledContract.name];
