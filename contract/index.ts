/** The specification and the result of every step: the only module that control plane and data plane share. */
export * from "./shared.ts";
export * from "./machine.ts";
export * from "./source.ts";
export * from "./targetDatabase.ts";
export * from "./mediaStorage.ts";
export * from "./stage.ts";
export * from "./migrate.ts";
export * from "./directCopy.ts";
export * from "./replicate.ts";
export * from "./media.ts";
export * from "./cutover.ts";
export * from "./import.ts";
export * from "./export.ts";
export * from "./installed.ts";
export * from "./sameSteps.ts";
export { phases, type Phase, type StepContract } from "./define.ts";
