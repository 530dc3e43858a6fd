/** How a contract is written down: checked as what it is, with the types of its own schemas. */
import type { StepContract } from "../run/step.ts";

export const contract = <Spec, Result>(contract: StepContract<Spec, Result>): StepContract<Spec, Result> => contract;
