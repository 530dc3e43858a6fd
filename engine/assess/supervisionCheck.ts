/** Whether anybody looks after the target's servers once the migration is over. */
import type { z } from "zod";
import type { assessContract, Finding } from "../../contract/index.ts";
import { finding } from "../run/finding.ts";

export const supervisionCheckId = "target-supervision";

/** A target of processes of ours is right for what is thrown away; what is to stay must be said to. A bundle is somebody else's to start, and an installed homeserver has whoever its installer chose. */
export function unsupervised(spec: z.infer<typeof assessContract.spec>): Finding[] {
    const isThrownAway = spec.rehearsal === true || spec.run.disposable === true;
    if (spec.bundle !== undefined || spec.installed !== undefined || isThrownAway) return [];
    return [
        finding(
            "SM-W0745",
            `the servers in ${spec.targetDirectory} are processes of this program: they end with this machine, or with the session or job that starts them`,
        ),
    ];
}
