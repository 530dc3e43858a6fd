/** Reads the selected stack's configuration from Pulumi: the only place where it comes from. */
import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import * as pulumi from "@pulumi/pulumi";
import { z } from "zod";
import { parseConfig, type MigrationConfig } from "./parseConfig.ts";
import type { SecretKey } from "./schema.ts";
import { stackFileLocator } from "./stackFile.ts";

/** The secrets that are set; none of them is ever held outside of an output. */
export type MigrationSecrets = { readonly [Key in SecretKey]?: pulumi.Output<string> };

/** @throws MigrationError or MigrationErrors, see {@link parseConfig} */
export function readStackConfig(): { readonly config: MigrationConfig; readonly secrets: MigrationSecrets } {
    const [project, stack] = [pulumi.getProject(), pulumi.getStack()];
    const file = join("stacks", `Pulumi.${stack}.yaml`);
    const config = parseConfig(pulumi.runtime.allConfig(), {
        project,
        stack,
        encrypted: encryptedKeys(process.env["PULUMI_CONFIG_SECRET_KEYS"]),
        stateDirectory: process.env["XDG_STATE_HOME"] ?? join(homedir(), ".local", "state"),
        locate: stackFileLocator(file, readIfThere(file), project),
    });
    const stackConfig = new pulumi.Config(project);
    const secrets = Object.fromEntries([...config.secrets].map((key) => [key, stackConfig.requireSecret(key)]));
    return { config, secrets };
}

/** The language host tells the program which keys are kept encrypted; the SDK has no public way to ask. */
function encryptedKeys(text: string | undefined): string[] {
    return z.array(z.string()).parse(JSON.parse(text ?? "[]"));
}

/** The file only serves to name lines: a stack may be configured in other ways, too. */
function readIfThere(file: string): string {
    try {
        return readFileSync(file, "utf8");
    } catch {
        return "";
    }
}
