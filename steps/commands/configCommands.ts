/** The `pulumi config` commands that write a stack's configuration: a pure list, secrets apart from the words. */
import type { MachineDescription, Service } from "../../contract/index.ts";

/** What a stack says about the homeserver to move. */
export interface StackSettings {
    readonly serverName: string;
    readonly homeserverConfig: readonly string[];
    /** Where directories that the configuration names are on this machine. */
    readonly paths: Readonly<Record<string, string>>;
    readonly machine: MachineDescription;
    readonly service: Service;
    /** Of a homeserver on an SQLite file; any other is copied as the stack says, or as it is usual. */
    readonly copy?: "port" | undefined;
    /** The homeserver that it is moved into; absent for a target that is made here. */
    readonly installed?: InstalledSettings | undefined;
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

/** Where an installed homeserver is, as of a source. */
interface InstalledSettings {
    readonly homeserverConfig: readonly string[];
    readonly machine: MachineDescription;
    readonly service: Service;
}

export interface PulumiCommand {
    readonly args: readonly string[];
    /** Standard input. Secrets are here and nowhere else. */
    readonly input?: string;
}

const namespace = "synapse-migration";

/** Single values of an object, and of the lists in it, by their path. */
function below(path: string, object: object): Record<string, string> {
    const entries = Object.entries(object).flatMap(([key, value]): [string, string][] =>
        Array.isArray(value)
            ? value.map((one, index) => [`${path}.${key}[${index}]`, String(one)])
            : value === undefined
              ? []
              : [[`${path}.${key}`, String(value)]],
    );
    return Object.fromEntries(entries);
}

function targetSettings(installed: InstalledSettings | undefined): Record<string, string> {
    if (installed === undefined) return { "target.kind": "local" };
    const { homeserverConfig, machine, service } = installed;
    return {
        "target.kind": "installed",
        ...below("target", { homeserverConfig }),
        ...below("target.machine", machine),
        ...below("target.service", service),
    };
}

/** Sets every key of the source and the target, and the secrets there are. Safe to repeat. */
export function configCommands(stack: string, settings: StackSettings): PulumiCommand[] {
    const plain = {
        serverName: settings.serverName,
        phase: "assess",
        "source.kind": "selfHosted",
        ...Object.fromEntries(
            settings.homeserverConfig.map((path, index) => [`source.homeserverConfig[${index}]`, path]),
        ),
        ...Object.fromEntries(
            Object.entries(settings.paths).map(([directory, here]) => [
                `source.paths[${JSON.stringify(directory)}]`,
                here,
            ]),
        ),
        ...below("source.machine", settings.machine),
        ...below("source.service", settings.service),
        ...(settings.copy === undefined ? {} : { copy: settings.copy }),
        ...targetSettings(settings.installed),
        "target.directory": settings.targetDirectory,
        "target.synapsePython": settings.synapsePython,
        "target.postgresPrograms": settings.postgresPrograms,
    };
    const assignments = Object.entries(plain).flatMap(([key, value]) => [
        "--plaintext",
        `${namespace}:${key}=${value}`,
    ]);
    // Without `--raw`, Pulumi would cut the line break at the end of a pepper that has one.
    const secret = (key: string, value: string): PulumiCommand => ({
        args: ["config", "set", "--stack", stack, "--secret", "--raw", "--", `${namespace}:${key}`],
        input: value,
    });
    return [
        // Secrets first: without the stack's passphrase Pulumi refuses these, but not what comes after them.
        secret("signingKey", settings.signingKey),
        ...(settings.pepper === undefined ? [] : [secret("pepper", settings.pepper)]),
        secret("macaroonSecretKey", settings.macaroonSecretKey ?? ""),
        // A list that was longer before would keep its end, and a service of another kind its settings.
        {
            args: [
                ...["config", "rm-all", "--stack", stack, "--path"],
                ...["source", "target"].flatMap((part) =>
                    ["homeserverConfig", "machine", "service"].map((key) => `${namespace}:${part}.${key}`),
                ),
            ],
        },
        { args: ["config", "set-all", "--stack", stack, "--path", ...assignments] },
    ];
}
