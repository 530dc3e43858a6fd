/** The `pulumi config` commands that write a stack's configuration: a pure list, secrets apart from the words. */

/** What a stack says about the homeserver to move. */
export interface StackSettings {
    readonly serverName: string;
    readonly homeserverConfig: readonly string[];
    readonly pidFile: string;
    readonly targetDirectory: string;
    readonly synapsePython: string;
    readonly postgresPrograms: string;
    /** Secret: the content of a signing key file. */
    readonly signingKey: string;
    /** Secret. Undefined when the source has none: no key is written then. */
    readonly pepper: string | undefined;
    /** Secret. Undefined when the source derives it from the signing key: an empty one is written then. */
    readonly macaroonSecretKey: string | undefined;
}

export interface PulumiCommand {
    readonly args: readonly string[];
    /** Standard input. Secrets are here and nowhere else. */
    readonly input?: string;
}

const namespace = "synapse-migration";

/** Sets every key, in the order of the design's example. Safe to repeat. */
export function configCommands(stack: string, settings: StackSettings): PulumiCommand[] {
    const plain = (key: string, value: string): PulumiCommand => ({
        args: ["config", "set", "--stack", stack, "--path", "--", `${namespace}:${key}`, value],
    });
    // Without `--raw`, Pulumi would cut the line break at the end of a pepper that has one.
    const secret = (key: string, value: string): PulumiCommand => ({
        args: ["config", "set", "--stack", stack, "--secret", "--raw", "--", `${namespace}:${key}`],
        input: value,
    });
    return [
        plain("serverName", settings.serverName),
        plain("phase", "assess"),
        plain("source.kind", "selfHosted"),
        ...settings.homeserverConfig.map((path, index) => plain(`source.homeserverConfig[${index}]`, path)),
        plain("source.host.kind", "local"),
        plain("source.service.kind", "process"),
        plain("source.service.pidFile", settings.pidFile),
        plain("target.kind", "local"),
        plain("target.directory", settings.targetDirectory),
        plain("target.synapsePython", settings.synapsePython),
        plain("target.postgresPrograms", settings.postgresPrograms),
        secret("signingKey", settings.signingKey),
        ...(settings.pepper === undefined ? [] : [secret("pepper", settings.pepper)]),
        secret("macaroonSecretKey", settings.macaroonSecretKey ?? ""),
    ];
}
