/** Specifications of steps against a test homeserver. */
import { join } from "node:path";
import { readFileSync } from "node:fs";
import { parse } from "yaml";
import { z } from "zod";
import type { RunReference, SelfHostedSource } from "../../contract/index.ts";
import { doStep, undoStep } from "../../engine/run/runStep.ts";
import type { AnyStep } from "../../engine/run/openStep.ts";
import type { TestSynapse } from "./synapse.ts";

export function sourceOf({ homeserver }: TestSynapse): SelfHostedSource {
    return {
        kind: "selfHosted",
        serverName: homeserver.serverName,
        homeserverConfig: [homeserver.files.configFile],
        machine: { kind: "local" },
        service: { kind: "process", pidFile: homeserver.files.pidFile },
    };
}

export function runOf({ directory }: TestSynapse, id: string): RunReference {
    return { id, directory: join(directory, "runs", id) };
}

const secretSections = z.object({
    signing_key_path: z.string(),
    macaroon_secret_key: z.string(),
    password_config: z.object({ pepper: z.string() }),
});

/** What the stack's configuration would hold as Pulumi secrets. */
export function secretsOf({ homeserver }: TestSynapse): {
    signingKey: string;
    macaroonSecretKey: string;
    pepper: string;
} {
    const sections = secretSections.parse(parse(readFileSync(homeserver.files.configFile, "utf8")));
    return {
        signingKey: readFileSync(sections.signing_key_path, "utf8"),
        macaroonSecretKey: sections.macaroon_secret_key,
        pepper: sections.password_config.pepper,
    };
}

/** Does a step as the command line does, and gives back its parsed result. */
export async function done<Result>(step: AnyStep, spec: object, shape: z.ZodType<Result>): Promise<Result> {
    return shape.parse(
        JSON.parse(await doStep({ step, spec, write: () => undefined, signal: new AbortController().signal })),
    );
}

export async function undone(step: AnyStep, spec: object): Promise<void> {
    await undoStep({ step, spec, write: () => undefined, signal: new AbortController().signal });
}
