/** The database of a running source, of whichever kind its configuration names. */
import type { SelfHostedSource } from "../../../contract/index.ts";
import { readSourceConfig } from "../../synapse/config/sourceConfig.ts";
import type { FenceableDatabase } from "./fenceableDatabase.ts";
import { postgresDatabase } from "./postgresDatabase.ts";
import { sqliteDatabase } from "./sqliteDatabase.ts";

/** @throws MigrationError those of the configuration's reader, SM-E0704 for several databases */
export async function fenceableDatabase(source: SelfHostedSource): Promise<FenceableDatabase> {
    const config = await readSourceConfig(source);
    return config.database.kind === "sqlite" ? sqliteDatabase(source, config) : postgresDatabase(source);
}
