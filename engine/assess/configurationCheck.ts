/** Does the target's Synapse load the configuration that it will be started with? Met now, and not with the source stopped. */
import type { z } from "zod";
import type { assessContract, Finding } from "../../contract/index.ts";
import { MigrationError } from "../run/errors.ts";
import { finding } from "../run/finding.ts";
import { refusalOf, type Refusal } from "../synapse/config/loadWithSynapse.ts";
import { tryConfiguration, type Tried, type TriedConfiguration } from "../synapse/config/triedConfiguration.ts";
import { documentedFindings } from "./conclusion.ts";
import { targetVersion } from "./targetChecks.ts";

export const configurationCheckId = "target-configuration";

/** Each once, with the forms that it is said of. */
function loadFindings(tried: readonly Tried[], python: string, version: string): Finding[] {
    const said = new Map<string, { readonly refusal: Refusal; readonly forms: string[] }>();
    for (const { isolated, problems } of tried) {
        const form = isolated ? "as it is rehearsed" : "as it is moved";
        for (const refusal of problems.map((problem) => refusalOf(problem, python, version))) {
            const key = JSON.stringify(refusal);
            const known = said.get(key);
            if (known === undefined) said.set(key, { refusal, forms: [form] });
            else known.forms.push(form);
        }
    }
    return [...said.values()].map(({ refusal: { code, found, fix }, forms }) =>
        finding(code, `${forms.join(" and ")}: ${found}`, fix),
    );
}

/** What the checks of a running source and of a bundle know. */
type Known = Pick<TriedConfiguration, "config" | "secrets"> & {
    readonly spec: z.infer<typeof assessContract.spec>;
};

/**
 * A rehearsal's target is isolated, and proves nothing about what its isolation turns off: both forms are tried then. What goes into a
 * bundle is loaded by its receiver's Synapse.
 */
export async function configurationFindings({ spec, config, secrets }: Known): Promise<Finding[]> {
    const { source, targetDirectory, user, targetPython: python, targetServer, mediaStorageProvider } = spec;
    if (spec.bundle !== undefined) return [];
    const serverMajor =
        targetServer === undefined
            ? undefined
            : // That it cannot be asked is what the check of the server says.
              await targetVersion(targetServer).then(
                  ({ major }) => major,
                  () => undefined,
              );
    const place = { targetDirectory, user, python, serverMajor, mediaStorageProvider };
    try {
        const { version, tried } = await tryConfiguration(
            { ...place, source, config, secrets, servesMedia: spec.mediaRepo === undefined },
            spec.rehearsal === true ? [true, false] : [false],
        );
        if (version === null)
            return tried
                .slice(0, 1)
                .flatMap(({ problems }) => problems.map(({ message }) => unusable(python, message)));
        return loadFindings(tried, python, version);
    } catch (error) {
        return error instanceof MigrationError && error.code === "SM-E1101"
            ? [unusable(python, error.detail.found)]
            : documentedFindings(error);
    }
}

const unusable = (python: string, why: string): Finding => finding("SM-E0526", `${python}: ${why}`);
