/** Sends what is new to the installed homeserver's store, and has every file hashed where it is then. */
import { placeMediaContract } from "../../contract/index.ts";
import { placePass, undoPlacePass } from "../../engine/media/placePass.ts";
import { defineStep } from "../../engine/run/step.ts";

export const placeMedia = defineStep(
    placeMediaContract,
    (spec, run) => placePass(spec, run, "final"),
    (spec, run) => undoPlacePass(spec, run, "final"),
);
