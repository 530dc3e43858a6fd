/** Checks of the source's database for a copy from server to server. */
import { uncopiedObjects } from "../postgres/copy/source.ts";
import { sourceReadiness } from "../postgres/replication/sourcePreflight.ts";
import { sourceAddress } from "../postgres/sourceDatabase.ts";
import { finding, type AssessmentCheck } from "./check.ts";
import { documentedFindings } from "./conclusion.ts";

export const copyChecks: readonly AssessmentCheck[] = [
    {
        // Is there anything that only an archive carries?
        id: "copied-objects",
        cost: "cheap",
        async run({ client, spec: { copy } }) {
            if (copy === undefined || copy.mode === "archive") return [];
            const found = await uncopiedObjects(client);
            return found.length === 0 ? [] : [finding("SM-E0540", found.slice(0, 5).join(", "))];
        },
    },
];

/** What following the source needs: also that a slot is free, which is not the case any more once it is followed. */
export const replicationChecks: readonly AssessmentCheck[] = [
    {
        id: "replication-source",
        cost: "cheap",
        async run({ client, spec: { copy, source } }) {
            if (copy?.mode !== "replicate") return [];
            try {
                const { problems, findings } = await sourceReadiness(client, await sourceAddress(source));
                return [...problems.flatMap(documentedFindings), ...findings];
            } catch (error) {
                return documentedFindings(error);
            }
        },
    },
];
