/** Checks of the source's database for a copy from server to server: is there anything that only an archive carries? */
import { uncopiedObjects } from "../postgres/copy/source.ts";
import { finding, type AssessmentCheck } from "./check.ts";

export const copyChecks: readonly AssessmentCheck[] = [
    {
        id: "copied-objects",
        cost: "cheap",
        async run({ client, spec: { copy } }) {
            if (copy === undefined || copy.mode === "archive") return [];
            const found = await uncopiedObjects(client);
            return found.length === 0 ? [] : [finding("SM-E0540", found.slice(0, 5).join(", "))];
        },
    },
];
