/** SM-E15: what cannot be done any more once the target is committed. */
import { entry, type CatalogueEntry } from "./entry.ts";

export const e15AfterCommit = {
    "SM-E1501": entry(
        "operator",
        "an earlier phase is declared after the commit",
        "the target has served: going back to the source loses what was written since, and two servers sign for one name",
        "declare phase `cutover` or `finish`; is the target broken? Repair it in place, the source must not serve again",
    ),
} as const satisfies Record<string, CatalogueEntry>;
