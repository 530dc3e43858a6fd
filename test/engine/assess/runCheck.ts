/** Runs one check of the assessment against a database, without a homeserver around it. */
import type { z } from "zod";
import type { AssessmentCheck, AssessmentContext } from "../../../engine/assess/check.ts";
import type { assessContract, Finding } from "../../../contract/index.ts";
import { withClient, type DatabaseAddress } from "../../../engine/postgres/connection.ts";

/** @param spec  what the check looks at, besides the database */
export async function runCheck(
    checks: readonly AssessmentCheck[],
    id: string,
    address: DatabaseAddress,
    spec: Partial<z.infer<typeof assessContract.spec>> = {},
): Promise<Finding[] | "not-run"> {
    const check = checks.find((candidate) => candidate.id === id);
    if (check === undefined) throw new Error(`there is no check ${id}`);
    return withClient(address, { step: "test", readOnly: true }, (client) =>
        check.run({ client, spec, foreignCode: [] } as unknown as AssessmentContext),
    );
}

/** The findings of a check that must have run. */
export async function findingsOf(...call: Parameters<typeof runCheck>): Promise<Finding[]> {
    const found = await runCheck(...call);
    if (found === "not-run") throw new Error(`${call[1]} did not run`);
    return found;
}
