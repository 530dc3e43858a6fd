/** Copies what changed since the early pass and proves every copy. Undone with the store itself, which belongs to the step media-storage. */
import { mediaFinalContract } from "../../contract/index.ts";
import { mediaPass } from "../../engine/media/mediaPass.ts";
import { defineStep } from "../../engine/run/step.ts";

export const mediaFinal = defineStep(mediaFinalContract, (spec, run) => mediaPass(spec, run, "final"));
