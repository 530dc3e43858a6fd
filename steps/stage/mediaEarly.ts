/** Copies media while the source still runs. Its copies are of use to later passes, so nothing is undone but with the store itself. */
import { mediaEarlyContract } from "../../contract/index.ts";
import { mediaPass } from "../../engine/media/mediaPass.ts";
import { defineStep } from "../../engine/run/step.ts";

export const mediaEarly = defineStep(mediaEarlyContract, (spec, run) => mediaPass(spec, run, "early"));
