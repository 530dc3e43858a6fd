/** The specification and the result of every step: the only module that control plane and data plane share. */
export * from "./contract/shared.ts";
export * from "./contract/source.ts";
export * from "./contract/mediaStorage.ts";
export * from "./contract/stage.ts";
export * from "./contract/migrate.ts";
export * from "./contract/copy.ts";
export * from "./contract/replicate.ts";
export * from "./contract/media.ts";
export * from "./contract/cutover.ts";
export * from "./contract/bundle.ts";
export * from "./contract/export.ts";
export { phases, type Phase, type StepContract } from "./run/step.ts";
