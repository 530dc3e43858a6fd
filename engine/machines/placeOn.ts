/** Says of a path which machine it is on, where that is another one than this. */
import type { Machine } from "./machine.ts";

export const placeOn = ({ isHere, name }: Pick<Machine, "isHere" | "name">, path: string): string =>
    isHere ? path : `${path} on ${name}`;
