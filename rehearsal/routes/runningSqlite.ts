/** From a homeserver that runs on an SQLite file: the migration itself stops it. */
import { runningHere } from "./local.ts";
import type { SqliteRoute } from "./route.ts";

export const runningSqlite: SqliteRoute = {
    place: "here",
    database: "sqlite",
    description: "a homeserver that runs on this machine and keeps its rows in an SQLite file",
    prepare(args) {
        const { config, secrets } = runningHere(args);
        return Promise.resolve({ config: { ...config, copy: "port" }, secrets });
    },
};
