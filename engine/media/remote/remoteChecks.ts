/** Says in checks what became of the cached media of other servers. Pure. */
import type { Check } from "../../../contract/index.ts";
import type { Listed } from "../completeness.ts";
import type { RemoteMediaAddress, RemoteRowCounts } from "./remoteRows.ts";

export interface RemoteMediaOutcome {
    readonly before: RemoteRowCounts;
    readonly left: RemoteRowCounts;
    /** Why the clean-up was given up. */
    readonly refused: string | undefined;
    readonly withoutFile: Listed;
    /** Media that was cached before. */
    readonly sample: RemoteMediaAddress | null;
    /** The status that asking for it is answered with now. */
    readonly fetched: number | undefined;
    /** What an administrator calls where it was not possible. */
    readonly call: string;
}

const shown = 3;

/** What Synapse says when it may not ask another server, cannot reach it, or is told that there is no such media. */
const cleanAnswers: Readonly<Record<number, string>> = {
    200: "fetched again from its server",
    403: "refused, as this homeserver may not ask other servers",
    404: "not found, neither here nor on its server",
    429: "limited in rate",
    502: "its server could not be reached",
    504: "its server did not answer in time",
};

/** `remote-media.purged` and `remote-media.fetched`; the first warns with what an administrator has to call where rows are left. */
export function remoteMediaChecks(outcome: RemoteMediaOutcome): Check[] {
    return [purgedCheck(outcome), fetchedCheck(outcome)];
}

function purgedCheck({ before, left, refused, withoutFile, call }: RemoteMediaOutcome): Check {
    const id = "remote-media.purged";
    const { quarantined } = left;
    const kept =
        quarantined === 0 ? "" : `; ${quarantined} that are quarantined stay, so that nobody fetches them again`;
    if (withoutFile.count === 0)
        return {
            id,
            state: "passed",
            evidence: `${before.askable - left.askable} rows without a file were purged, none is left${kept}`,
        };
    const rows = `${withoutFile.count} rows without a file are left: ${withoutFile.first.slice(0, shown).join(", ")}`;
    const undated = left.undated > 0 ? `; ${left.undated} have no time of access, which the clean-up never takes` : "";
    const why = refused === undefined ? "" : `; Synapse's clean-up was given up, as ${refused}`;
    return {
        id,
        state: "warning",
        evidence: `${rows}${undated}${why}. With the token of an administrator: ${call}`,
    };
}

function fetchedCheck({ sample, fetched }: RemoteMediaOutcome): Check {
    const id = "remote-media.fetched";
    if (sample === null) return { id, state: "passed", evidence: "there was no cached media of another server" };
    const what = `mxc://${sample.origin}/${sample.mediaId}`;
    if (fetched === undefined)
        return { id, state: "not-run", evidence: `${what} was not asked for, as it was not purged` };
    const meaning = cleanAnswers[fetched];
    return meaning === undefined
        ? { id, state: "warning", evidence: `${what} is answered with ${fetched}` }
        : { id, state: "passed", evidence: `${what} is answered with ${fetched}: ${meaning}` };
}
