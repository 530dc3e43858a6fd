/** Whom the target's servers would run as: a user that nobody else uses? */
import type { z } from "zod";
import type { assessContract, Finding } from "../../contract/index.ts";
import { databaseSuperuser, readPasswd, userName } from "../machines/serviceUser.ts";
import { targetUser } from "../machines/targetUser.ts";
import { finding } from "../run/finding.ts";
import { orFinding } from "./targetChecks.ts";

type Spec = Pick<z.infer<typeof assessContract.spec>, "targetDirectory" | "user" | "bundle">;

export const serviceUserCheckId = "target-user";

/** SM-E1208 for a configured user that is not fit, SM-W1209 for one that others share. */
export function serviceUserFindings({ targetDirectory, user: wanted, bundle }: Spec): Promise<Finding[]> {
    return orFinding("SM-E1208", async () => {
        // Nothing runs from a bundle.
        const user = bundle === undefined ? await targetUser(targetDirectory, wanted) : undefined;
        if (user === undefined) return [];
        const name = userName(readPasswd(), user.uid) ?? "nobody";
        if (name !== "nobody" && name !== databaseSuperuser) return [];
        const whose = name === "nobody" ? "every program that has no user of its own" : "all of PostgreSQL's databases";
        return [finding("SM-W1209", `${targetDirectory}: its servers run as ${name}, the user of ${whose}`)];
    });
}
