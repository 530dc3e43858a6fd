/** What the configuration alone tells of the proof: without a test account, nobody will have shown that users find their server again. */
import type { Finding } from "../contract/index.ts";
import { unlessAcknowledged } from "../engine/assess/acknowledgement.ts";
import { finding } from "../engine/run/finding.ts";
import type { Assessment } from "./assessment.ts";
import { reaches } from "./config/effective.ts";
import type { MigrationConfig } from "./config/parseConfig.ts";

const howToConfigure =
    "before phase migrate: npx pulumi config set canaryUser <name>; npx pulumi config set --secret canaryPassword";

/**
 * The finding that the move will not be proven to be of the same server; undefined where the probe has an account to ask with, and where
 * nothing is at stake: a rehearsal, a target that may be destroyed, files that are not started here.
 *
 * A warning up to phase `migrate`, which can be gone back from. From the cut-over on it blocks until it is acknowledged, as the source must
 * never serve again then.
 */
export function expectedProof(config: MigrationConfig): Finding | undefined {
    const { canary, disposable, target, source, phase, acknowledge } = config;
    if (canary !== undefined || disposable || target.kind === "emsBundle") return undefined;
    const found =
        source.kind === "selfHosted"
            ? finding(
                  "SM-W0605",
                  "no test account is configured: 8 of the probe's 12 checks cannot be run. Passwords, sessions and devices, sync positions, rooms and messages, media downloads and guest tokens will be reported as not proven",
                  `have a test account of the source leave things to look for, ${howToConfigure}; and canaryBaseUrl, unless publicBaseUrl reaches the source`,
              )
            : finding(
                  "SM-W0605",
                  "no account is configured that the probe could log in with: that passwords still work will be reported as not proven, besides what only a running source can be asked for",
                  `name any account of the homeserver whose password you know, ${howToConfigure}`,
              );
    return reaches(phase, "cutover") ? unlessAcknowledged(found, acknowledge) : found;
}

/** The assessment with what the configuration tells; as it is once the target is committed, when there is nothing left to decide. */
export function withExpectedProof(config: MigrationConfig, assessment: Assessment): Assessment {
    const found = expectedProof(config);
    if (found === undefined || assessment.committed) return assessment;
    const counted =
        found.severity === "error" ? { errors: assessment.errors + 1 } : { warnings: assessment.warnings + 1 };
    return { ...assessment, ...counted, findings: [...assessment.findings, found] };
}
