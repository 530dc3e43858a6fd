/** From a homeserver that runs on an SQLite file: the migration itself stops it. */
import { local } from "./local.ts";
import type { SqliteRoute } from "./route.ts";

export const runningSqlite: SqliteRoute = {
    place: "here",
    database: "sqlite",
    description: "a homeserver that runs on this machine and keeps its rows in an SQLite file",
    async prepare(args) {
        const { config, secrets } = await local.prepare(args);
        return { config: { ...config, copy: "port" }, secrets };
    },
};
