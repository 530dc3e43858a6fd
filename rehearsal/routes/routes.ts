/** All routes that can be rehearsed, by the name that `--route` takes. */
import { backup } from "./backup.ts";
import { compose } from "./compose.ts";
import { composeSqlite } from "./composeSqlite.ts";
import { emsExport } from "./emsExport.ts";
import { emsZip } from "./emsZip.ts";
import { local } from "./local.ts";
import { playbook } from "./playbook.ts";
import { runningSqlite } from "./runningSqlite.ts";
import { sqlite } from "./sqlite.ts";
import { systemd } from "./systemd.ts";
import type { Route } from "./route.ts";
import { toBundle, toEms } from "./toEms.ts";

export const routes = {
    local,
    backup,
    "ems-export": emsExport,
    "ems-zip": emsZip,
    sqlite,
    "running-sqlite": runningSqlite,
    systemd,
    playbook,
    compose,
    "compose-sqlite": composeSqlite,
    "to-ems": toEms,
    "to-bundle": toBundle,
} as const satisfies Record<string, Route>;

export type RouteName = keyof typeof routes;
export const routeNames = Object.keys(routes);
export const isRouteName = (name: string): name is RouteName => routeNames.includes(name);
