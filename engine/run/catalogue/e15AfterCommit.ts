/** SM-E15: what cannot be done any more once the target is committed. */
import { entry, type CatalogueEntry } from "./entry.ts";

export const e15AfterCommit = {
    "SM-E1501": entry(
        "operator",
        "an earlier phase is declared after the commit",
        "the target has served: going back to the source loses what was written since, and two servers sign for one name",
        "declare phase `cutover` or `finish`; is the target broken? Repair it in place, the source must not serve again",
    ),
    "SM-E1502": entry(
        "operator",
        "another run is declared after the commit",
        "the run that was committed is the only homeserver there is: another one would be made in its place",
        "take config `run` away, or set it to the run that was committed; to move the homeserver again, make a stack whose source it is",
    ),
    "SM-E1503": entry(
        "state",
        "a step would be done again after the commit",
        "it would change the only server there is, out of a source that was left",
        "is the work directory the one that the stack was made with? Put it back, whole, or make it anew with `synapse-migrate adopt`",
    ),
    "SM-E1504": entry(
        "service",
        "what belongs to the target does not stand",
        "nobody is served, or by something else than the homeserver that was proven",
        "is the directory the target's? What do the last lines of the named logs say? Mend that, then run the same command again",
    ),
    "SM-E1505": entry(
        "operator",
        "there is nothing to adopt or to release under this name",
        "what is named by mistake may be the only server there is",
        "run the same command without --confirm: it shows what there is, and how it is confirmed",
    ),
    "SM-E1506": entry(
        "state",
        "the work directory knows of this run already",
        "a journal that is put over another one forgets what was done since",
        "is this the work directory that made the target? Then there is nothing to adopt; else choose another `workDirectory`",
    ),
} as const satisfies Record<string, CatalogueEntry>;
