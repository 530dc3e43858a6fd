/** The machine that a source lives on. */
import type { SelfHostedSource } from "../../contract/index.ts";
import { thisMachine } from "./local/localMachine.ts";
import type { Machine } from "./machine.ts";

/** @param source  whose machine is this one as long as nothing else can be said of it */
export const sourceMachine = (source: Pick<SelfHostedSource, "host">): Machine =>
    ({ local: thisMachine })[source.host.kind];
