/** The configuration of a migration's source: what its files say, with what its specification overrides or has to say in their place. */
import type { BundleSource, SelfHostedSource, Source } from "../../../contract/source.ts";
import { thisMachine } from "../../machines/local/localMachine.ts";
import { sourceMachine } from "../../machines/sourceMachine.ts";
import { sourceView } from "../../services/containers/sourceView.ts";
import { placeOn } from "../../machines/placeOn.ts";
import { MigrationError } from "../../run/errors.ts";
import { isMapping } from "./configTree.ts";
import { mergeConfigFiles, type MergedConfig } from "./configFiles.ts";
import { homeserverConfigOf, readHomeserverConfig, type HomeserverConfig } from "./homeserverConfig.ts";

/**
 * @throws MigrationError as {@link readHomeserverConfig}, and SM-E0801 when the server name is not the specification's
 */
export async function readSourceConfig(source: Source): Promise<HomeserverConfig> {
    const config = source.kind === "selfHosted" ? await selfHostedConfig(source) : await bundleConfig(source);
    if (config.serverName === source.serverName) return config;
    throw new MigrationError("SM-E0801", {
        where: placeOn(config.machine, config.origins["server_name"]?.file ?? config.directory),
        found: `server_name ${config.serverName}`,
        expected: source.serverName,
    });
}

async function selfHostedConfig(source: SelfHostedSource): Promise<HomeserverConfig> {
    const machine = sourceMachine(source);
    const view = await sourceView(source, machine);
    const config = await readHomeserverConfig(source.homeserverConfig, {
        machine,
        view,
        database: source.database,
        paths: source.paths,
    });
    return { ...config, mediaStorePath: source.mediaStore ?? config.mediaStorePath };
}

/**
 * A server that nobody has configured yet must not open its doors. Archives of matrix-media-repo carry no thumbnails: Synapse makes them
 * when they are asked for only if it is told to.
 */
const defaults = { enable_registration: false, report_stats: false, dynamic_thumbnails: true };

/** The target's is made from the bundle; of the old one only settings such as the size of its pool come along. */
const unusedDatabase = { name: "psycopg2", args: { database: "synapse" } };

function isPostgres(database: unknown): boolean {
    return isMapping(database) && database["name"] === "psycopg2";
}

/** A bundle may come without a configuration; its homeserver then gets Synapse's defaults. */
async function bundleConfig(source: BundleSource): Promise<HomeserverConfig> {
    const { serverName, homeserverConfig, oldSigningKeys } = source;
    const merged: MergedConfig =
        homeserverConfig === undefined
            ? { files: [], sections: { server_name: serverName }, texts: {}, origins: {}, findings: [] }
            : await mergeConfigFiles(thisMachine, homeserverConfig);
    const before = merged.sections["old_signing_keys"];
    const known = typeof before === "object" && before !== null ? before : {};
    const sections = {
        ...(homeserverConfig === undefined ? defaults : {}),
        ...merged.sections,
        ...(oldSigningKeys === undefined ? {} : { old_signing_keys: { ...known, ...oldSigningKeys } }),
        database: isPostgres(merged.sections["database"]) ? merged.sections["database"] : unusedDatabase,
    };
    return homeserverConfigOf({ ...merged, sections, texts: {} }, { withoutDatabase: true, paths: source.paths });
}
