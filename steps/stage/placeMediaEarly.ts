/** Sends media to the installed homeserver while both homeservers still run, so that the final pass has little to do. */
import { placeMediaEarlyContract } from "../../contract/index.ts";
import { placePass, undoPlacePass } from "../../engine/media/placePass.ts";
import { defineStep } from "../../engine/run/step.ts";

export const placeMediaEarly = defineStep(
    placeMediaEarlyContract,
    (spec, run) => placePass(spec, run, "early"),
    (spec, run) => undoPlacePass(spec, run, "early"),
);
