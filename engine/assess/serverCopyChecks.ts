/** Checks for a copy from server to server: what of the source it would leave out, and what following it needs of both servers. */
import { unreadable } from "../fence/obstacles.ts";
import { readDefinitions } from "../postgres/catalogue/catalogue.ts";
import { leftBehind } from "../postgres/catalogue/serverObjects.ts";
import { changedPrivileges, countedGrantees } from "../postgres/catalogue/privileges.ts";
import { guests } from "../postgres/catalogue/unreadable.ts";
import { uncopiedObjects } from "../postgres/directCopy/source.ts";
import { slotsOfThisProgram } from "../postgres/replication/forgottenSlots.ts";
import { refuseUnknownExtensions } from "../postgres/server/extensions.ts";
import { finding } from "../run/finding.ts";
import type { AssessmentCheck } from "./check.ts";
import { documentedFindings } from "./conclusion.ts";
import { asFinding } from "./fenceChecks.ts";
import { onTargetServer, orFinding } from "./targetChecks.ts";

const mebibyte = 1024 * 1024;

export const copyChecks: readonly AssessmentCheck[] = [
    {
        // Also in a rehearsal, which the fence's own checks are not for.
        id: "readable-objects",
        cost: "cheap",
        run: async ({ client }) => (await unreadable(client)).map(asFinding),
    },
    {
        id: "left-behind",
        cost: "cheap",
        async run({ client }) {
            const found = await leftBehind(client);
            return found.length === 0 ? [] : [finding("SM-W0562", found.join(", "))];
        },
    },
    {
        id: "guests",
        cost: "cheap",
        async run({ client }) {
            const found = await guests(client);
            return found.length === 0 ? [] : [finding("SM-W0563", found.slice(0, 5).join("; "))];
        },
    },
    {
        id: "privileges-of-others",
        cost: "cheap",
        async run({ client }) {
            const found = countedGrantees(await changedPrivileges(client));
            return found.length === 0 ? [] : [finding("SM-W0564", found.slice(0, 10).join("; "))];
        },
    },
    {
        // A server of our own is asked as soon as it is there, by the step `database`.
        id: "needed-extensions",
        cost: "cheap",
        async run({ client, spec: { targetServer } }) {
            if (targetServer?.kind !== "existing") return [];
            const definitions = await readDefinitions(client);
            const where = `${targetServer.host}:${targetServer.port}`;
            return orFinding("SM-E0522", () =>
                onTargetServer(targetServer, async (admin) => {
                    try {
                        await refuseUnknownExtensions(admin, definitions, where);
                        return [];
                    } catch (error) {
                        return documentedFindings(error);
                    }
                }),
            );
        },
    },
    {
        // Is there anything that only an archive carries?
        id: "copied-objects",
        cost: "cheap",
        async run({ client, spec: { copy } }) {
            if (copy === undefined || copy.mode === "archive") return [];
            const found = await uncopiedObjects(client);
            return found.length === 0 ? [] : [finding("SM-E0540", found.slice(0, 5).join(", "))];
        },
    },
    {
        // Also while a run follows, so that every preview looks after it, and whatever the copy, as a slot may be another run's.
        id: "replication-slots",
        cost: "cheap",
        async run({ client }) {
            const slots = await slotsOfThisProgram(client);
            return slots.flatMap(({ name, database, active, walStatus, retainedBytes }) => {
                const isDoomed = walStatus === "unreserved" || walStatus === "lost";
                if (active && !isDoomed) return [];
                const state = [
                    ...(active ? [] : ["nobody reads it"]),
                    ...(isDoomed ? [`its write-ahead log is ${walStatus}`] : []),
                ];
                const kept = `${Math.ceil(retainedBytes / mebibyte)} MiB of write-ahead log kept`;
                return [finding("SM-W1302", `${name} of database ${database}: ${[...state, kept].join(", ")}`)];
            });
        },
    },
];
