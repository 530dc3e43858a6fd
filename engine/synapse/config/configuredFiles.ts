/** The files that the target's homeserver is started with: what the steps `configure` and `secrets` write, and what is tried before. */
import { join } from "node:path";
import type { CarriedSections } from "./movedSections.ts";
import type { HomeserverConfig } from "./homeserverConfig.ts";
import type { FileCopy } from "./relocateFiles.ts";
import { stringifySynapseYaml } from "./pythonYaml.ts";
import {
    isolationName,
    isolationSections,
    logConfig,
    targetDatabaseSection,
    targetSections,
    type TargetConnection,
    type TargetPlace,
} from "./targetConfig.ts";

/** Where it is, and what it works with there. */
export interface ConfiguredPlace extends Pick<TargetPlace, "listener" | "isolated" | "servesMedia"> {
    readonly targetDirectory: string;
    readonly mediaStore: string;
    readonly signingKeyFile: string;
    /** Written by the step `secrets`; read after the first file. */
    readonly secretsFile: string;
    readonly database: TargetConnection;
}

export interface ConfiguredFiles {
    /** For `--config-path`, in order. */
    readonly configFiles: readonly string[];
    /** Absolute path of a file, and its content; without that of the secrets. */
    readonly contents: ReadonlyMap<string, string>;
    readonly copies: readonly FileCopy[];
    readonly logs: string;
    readonly logFile: string;
    readonly pidFile: string;
    /** The sections of the first file, and those that isolate. */
    readonly homeserver: Readonly<Record<string, unknown>>;
    readonly isolation: Readonly<Record<string, unknown>> | undefined;
}

/** Pure: nothing is read or written here. */
export function configuredFiles(
    { serverName, sections }: Pick<HomeserverConfig, "serverName" | "sections">,
    { open, copies }: CarriedSections,
    place: ConfiguredPlace,
): ConfiguredFiles {
    const at = (name: string): string => join(place.targetDirectory, name);
    const [pidFile, logs] = [at("homeserver.pid"), at("logs")];
    // Whoever writes a log also renames it; in the other directories Synapse's user is not to rename anything.
    const logFile = join(logs, "homeserver.log");
    const homeserver = targetSections(open, sections, {
        serverName,
        mediaStorePath: place.mediaStore,
        signingKeyPath: place.signingKeyFile,
        pidFile,
        logConfig: at("log.yaml"),
        listener: place.listener,
        isolated: place.isolated,
        servesMedia: place.servesMedia,
    });
    const isolation = place.isolated ? isolationSections(sections) : undefined;
    const isolating = isolation === undefined ? [] : ([[at(isolationName), isolation]] as const);
    return {
        configFiles: [
            at("homeserver.yaml"),
            place.secretsFile,
            at("database.yaml"),
            ...isolating.map(([file]) => file),
        ],
        contents: new Map([
            [at("homeserver.yaml"), stringifySynapseYaml(homeserver)],
            [at("database.yaml"), stringifySynapseYaml(targetDatabaseSection(sections, place.database))],
            [at("log.yaml"), stringifySynapseYaml(logConfig(logFile))],
            ...isolating.map(([file, isolated]) => [file, stringifySynapseYaml(isolated)] as const),
        ]),
        copies: copies.filter(({ setting }) => !(place.isolated && setting === "app_service_config_files")),
        ...{ logs, logFile, pidFile, homeserver, isolation },
    };
}
