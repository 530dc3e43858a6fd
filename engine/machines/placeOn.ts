/** How a place is told in messages: with its machine, where that is another one than this. */
import type { Machine } from "./machine.ts";

export function placeOn({ isHere, name }: Pick<Machine, "isHere" | "name">, place: string): string {
    return isHere ? place : `${place} on ${name}`;
}
