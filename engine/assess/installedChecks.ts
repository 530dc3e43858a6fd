/** Checks of a target that is installed: what only the swap, or the start there, would meet, with both homeservers stopped already. */
import { z } from "zod";
import type { assessContract, Finding } from "../../contract/index.ts";
import { refuseUnasked, runningVersion } from "../installed/askInstalled.ts";
import { lackingSpace, spaceOn } from "../machines/freeSpace.ts";
import { isPlaced } from "../installed/holder.ts";
import { placeOn } from "../machines/placeOn.ts";
import { queryOne, withClient } from "../postgres/connection.ts";
import { serverSpace } from "../postgres/databases/serverSpace.ts";
import { adminOf, decidedAdmin } from "../postgres/databases/installedAdmin.ts";
import { MigrationError } from "../run/errors.ts";
import { finding } from "../run/finding.ts";
import { sourceService } from "../services/service.ts";
import { readSourceConfig } from "../synapse/config/sourceConfig.ts";
import type { AssessmentCheck, AssessmentContext } from "./check.ts";
import { lackingSettings } from "../installed/differences.ts";
import { usedLately } from "../installed/usedLately.ts";
import { isMapping } from "../synapse/config/configTree.ts";
import { olderServer } from "./targetChecks.ts";
import { serverVersion } from "./serverVersion.ts";

type Installed = NonNullable<z.infer<typeof assessContract.spec>["installed"]>;

type Look = (installed: Installed, context: AssessmentContext) => Promise<Finding[] | "not-run">;

const looks: Readonly<Record<string, Look>> = {
    "installed-service": async ({ deployment }) => {
        const config = await readSourceConfig(deployment);
        refuseUnasked(config);
        const service = sourceService(deployment);
        await service.refuseUnstoppable();
        if (config.database.kind === "postgres") return [];
        return [
            finding("SM-E1601", `${placeOn(config.machine, config.files.join(", "))}: its database is an SQLite file`),
        ];
    },
    "installed-version": async ({ deployment }, { targetSynapse, begun, spec: { targetPython } }) => {
        // Somebody's upgrade in between must not stand in the way of going back.
        if (begun) return [];
        const running = await runningVersion(deployment);
        if (running === undefined) return "not-run";
        // Within a release the schema stays.
        if (release(running) === release(targetSynapse.version)) return [];
        return [
            finding(
                "SM-E1601",
                `Synapse ${running} runs there, and ${targetPython} has ${targetSynapse.version}: what is tried with one says nothing of the other`,
                `\`pip install matrix-synapse[postgres]==${running}\` into that environment, which \`target.synapsePython\` names`,
            ),
        ];
    },
    "installed-media": async ({ deployment }) => {
        const { machine, mediaStorePath } = await readSourceConfig(deployment);
        const found = await machine.files.stat(mediaStorePath);
        if (found?.kind === "directory") return [];
        return [finding("SM-E1601", `${placeOn(machine, mediaStorePath)}: there is no media store; start it once`)];
    },
    "installed-settings": async ({ deployment }, { config }) => {
        const { sections } = await readSourceConfig(deployment);
        return lackingSettings(config.sections, sections);
    },
    "installed-people": async ({ deployment }) => usedLately(deployment),
    "installed-workers": async ({ deployment }) => {
        const { sections, machine, files } = await readSourceConfig(deployment);
        const writers = sections["stream_writers"];
        if (!isMapping(writers) || Object.keys(writers).length === 0) return [];
        const where = placeOn(machine, files.join(", "));
        return [
            finding(
                "SM-E1601",
                `${where}: stream_writers: its main process cannot be tried alone, as workers write for it`,
                "take `stream_writers` away there until the homeserver was moved",
            ),
        ];
    },
    "installed-room": async ({ deployment, admin }, { measured: { sizes }, begun, spec: { run } }) => {
        // What is missing then has been used by this run.
        if (begun) return [];
        const address = await adminOf({ deployment, admin: await decidedAdmin({ deployment, admin }) });
        const server = { host: address.host, installed: { deployment } };
        const rows = await withClient(address, { step: "assess", readOnly: true }, (client) =>
            serverSpace(server, client, sizes.databaseBytes * databaseFactor),
        );
        const { machine, mediaStorePath } = await readSourceConfig(deployment);
        const isSent = await isPlaced(run);
        const media = isSent ? undefined : await spaceOn(machine, mediaStorePath, sizes.mediaBytes);
        const lacking = lackingSpace([rows, media].filter((need) => need !== undefined));
        return rows === undefined && lacking.length === 0 ? "not-run" : lacking;
    },
    "installed-database": async (installed, { client }) => {
        const { deployment } = installed;
        const address = await adminOf({ deployment, admin: await decidedAdmin(installed) });
        return withClient(address, { step: "assess", readOnly: true }, async (server) => {
            const shape = z.object({ may: z.boolean(), role: z.string() });
            const { may, role } = await queryOne(
                server,
                shape,
                "SELECT rolsuper OR rolcreatedb AS may, rolname::text AS role FROM pg_roles WHERE rolname = current_user",
            );
            const rights = may ? [] : [finding("SM-E1601", `role "${role}" may not create databases on its server`)];
            const where = `the server of the installed homeserver`;
            return [...rights, ...olderServer(await serverVersion(client), await serverVersion(server), where)];
        });
    },
};

/** Write-ahead log and sorts need room beside the rows. */
const databaseFactor = 1.3;

/** `1.163` of `1.163.2`. */
const release = (version: string): string => version.split(".").slice(0, 2).join(".");

/** What could not be found out blocks as much as what is wrong. */
export const installedChecks: readonly AssessmentCheck[] = Object.entries(looks).map(([id, look]) => ({
    id,
    cost: "cheap",
    async run(context) {
        const { installed } = context.spec;
        if (installed === undefined) return [];
        try {
            return await look(installed, context);
        } catch (error) {
            if (!(error instanceof MigrationError)) throw error;
            const { where, found, fix } = error.detail;
            return [finding("SM-E1601", `${where}: ${found} (${error.code})`.replaceAll("\n", "; "), fix)];
        }
    },
}));
