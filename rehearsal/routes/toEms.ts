/**
 * From a homeserver that runs here into a bundle for another provider. What is rehearsed then is the provider's part: a stack that has
 * nothing but the bundle, opened by the programs that its notes name.
 */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import { z } from "zod";
import { MigrationError } from "../../engine/run/errors.ts";
import { PulumiStack } from "../pulumiStack.ts";
import { openBundle } from "./openBundle.ts";
import { identitySecrets, makePassphrase } from "./makeExport.ts";
import type { ClusterRoute, ClusterRouteArgs, RouteStack } from "./route.ts";

const phases = ["assess", "stage", "migrate", "cutover", "finish"] as const;
const partBytes = 1024 * 1024;

/** What the receiver needs of the configuration that it gets. */
const handedOver = z.looseObject({
    macaroon_secret_key: z.string(),
    password_config: z.looseObject({ pepper: z.string() }),
});
/** What is none of the receiver's business. */
const otherSecrets = ["registration_shared_secret", "form_secret", "database"];

export const toEms: ClusterRoute = {
    description: "into a bundle for Element's hosting, and from the bundle into a server that has nothing else",
    place: "here",
    database: "postgresql",
    prepare: (args) => handOver(args, "plain"),
};

/** As between two stacks of one's own. */
export const toBundle: ClusterRoute = {
    description: "the same with the database in pg_dump's directory format, which only another stack takes",
    place: "here",
    database: "postgresql",
    prepare: (args) => handOver(args, "directory"),
};

async function handOver(args: ClusterRouteArgs, databaseFormat: "plain" | "directory"): Promise<RouteStack> {
    const { source, canary, ownStack } = args;
    const directory = join(args.directory, "bundle");
    const passphrase = makePassphrase();
    const stack = await makeStack(args, { directory, databaseFormat }, passphrase);
    const takeAway = async (): Promise<void> => {
        await ownStack.timings.during("bundle: pulumi destroy", () => stack.destroy());
        if (existsSync(directory)) throw broken(directory, "the bundle of a disposable stack is still there");
    };
    try {
        for (const phase of phases) await ownStack.timings.during(`bundle: pulumi up: ${phase}`, () => stack.up(phase));
        await stack.up("finish", "--expect-no-changes");
        if (await source.answers()) throw broken(source.baseUrl, "the source still answers after it was handed over");
        const opened = await ownStack.timings.during("bundle: opened by hand, as its notes say", () =>
            openBundle({ ...args, bundle: directory, passphrase, directory: join(args.directory, "opened") }),
        );
        const sections = handedOver.parse(parse(readFileSync(opened.homeserverConfig, "utf8")));
        const surplus = otherSecrets.filter((name) => name in sections);
        if (surplus.length > 0) throw broken(opened.homeserverConfig, `it has ${surplus.join(", ")}`);
        return {
            config: {
                source: {
                    kind: databaseFormat === "plain" ? "emsExport" : "backup",
                    database: opened.database,
                    media: opened.mediaBackup,
                    homeserverConfig: opened.homeserverConfig,
                    stoppedBeforeExport: true,
                },
                acknowledge: "SM-W0713",
            },
            secrets: {
                signingKey: readFileSync(opened.signingKey, "utf8"),
                pepper: sections.password_config.pepper,
                macaroonSecretKey: sections.macaroon_secret_key,
                canaryPassword: canary.password,
                passphrase,
            },
            takeAway,
        };
    } catch (error) {
        if (!ownStack.keep) await stack.destroy().catch(() => undefined);
        throw error;
    }
}

async function makeStack(
    args: ClusterRouteArgs,
    bundle: { readonly directory: string; readonly databaseFormat: string },
    passphrase: string,
): Promise<PulumiStack> {
    const { source, ownStack, postgresPrograms, progress, signal } = args;
    const { signingKey, pepper, macaroonSecretKey } = identitySecrets(args);
    return PulumiStack.create({
        ...{ name: ownStack.name, pulumi: ownStack.pulumi, projectDirectory: ownStack.projectDirectory },
        directory: join(args.directory, "pulumi"),
        config: {
            serverName: source.serverName,
            stack: ownStack.name,
            disposable: true,
            source: {
                kind: "selfHosted",
                homeserverConfig: source.files.configFile,
                service: { kind: "process", pidFile: source.files.pidFile },
            },
            target: { kind: "emsBundle", ...bundle, synapsePython: ownStack.python, postgresPrograms, partBytes },
            workDirectory: join(args.directory, "work"),
            reportDirectory: ownStack.reportDirectory,
        },
        secrets: { ...definedOf({ signingKey, pepper, macaroonSecretKey }), passphrase },
        progress,
        signal,
    });
}

function definedOf(secrets: Readonly<Record<string, string | undefined>>): Record<string, string> {
    return Object.fromEntries(
        Object.entries(secrets).flatMap(([name, secret]) => (secret === undefined ? [] : [[name, secret] as const])),
    );
}

function broken(where: string, found: string): MigrationError {
    return new MigrationError("SM-E1192", {
        where,
        found,
        expected: "a bundle that is whole, and a source that stays stopped",
        changed: "only what belongs to the rehearsal",
    });
}
