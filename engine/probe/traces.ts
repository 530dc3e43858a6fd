/** What test accounts of this move, and of earlier ones, have left in a homeserver: found by its names, removed through the admin API. */
import { z } from "zod";
import { query, withClient, type Client } from "../postgres/connection.ts";
import { describeAnswer, type MatrixRequest } from "../synapse/api/matrixApi.ts";
import type { StepRun } from "../run/step.ts";
import { removeTemporaryAdmin, withTemporaryAdmin, type TemporaryAdminArgs } from "./temporaryAdmin.ts";

/** By these names, and by nothing that a run remembers, traces are found: an attempt that was killed has remembered nothing. */
export const roomName = (madeBy: "canary" | "probe", runId: string): string => `synapse-migration ${madeBy} ${runId}`;
const ourRooms = /^synapse-migration (canary|probe) [a-z0-9]{1,16}$/;
/** Of sessions of the test account, and of the guest. */
export const deviceNames = {
    canary: "synapse-migration canary",
    probe: "synapse-migration probe",
    cleanUp: "synapse-migration clean-up",
} as const;
/** Of random bytes. */
export const canaryMedium = { name: "canary.bin", type: "application/octet-stream", bytes: 4096 } as const;

/** Ids. */
interface Traces {
    readonly rooms: readonly string[];
    readonly media: readonly string[];
    readonly guests: readonly string[];
    readonly devices: readonly string[];
}

interface Removal {
    /** For people. */
    readonly what: string;
    readonly method: "DELETE" | "POST";
    readonly path: string;
    readonly body: object;
}

export interface RemovedTraces {
    readonly removed: readonly string[];
    /** Each with the call that would have removed it, and what was answered. */
    readonly left: readonly string[];
}

/** The account's id, of a name to log in with. */
export const userIdOf = (user: string, serverName: string): string =>
    user.startsWith("@") ? user : `@${user}:${serverName}`;

/**
 * Removes rooms, media, devices and guests, with the token of an account that is there for as long as it takes. What is gone is seen in the
 * database, and not taken from an answer. Makes no account where there is nothing to remove.
 *
 * @param userId  the test account: of other accounts, but guests, nothing is touched
 * @throws MigrationError those of `withTemporaryAdmin`, SM-E1106 when the homeserver does not answer
 */
export async function removeTraces(args: TemporaryAdminArgs, userId: string, run: StepRun): Promise<RemovedTraces> {
    const { address, api, serverName, step } = args;
    const find = async (): Promise<Removal[]> =>
        withClient(address, { step, readOnly: true, statementSeconds: 0, signal: run.signal }, async (client) =>
            removalsOf(await findTraces(client, userId), userId, serverName),
        );
    const removals = await find();
    if (removals.length === 0) {
        // Of an attempt that was killed with all of its work done.
        await removeTemporaryAdmin(args, run);
        return { removed: [], left: [] };
    }
    const answers = new Map<string, string>();
    await withTemporaryAdmin(args, run, async (token) => {
        for (const { method, path, body } of removals) {
            run.signal.throwIfAborted();
            const request: MatrixRequest = { method, accessToken: await token(), body };
            answers.set(path, describeAnswer(await api.ask(path, request)));
        }
    });
    const left = await find();
    const paths = new Set(left.map(({ path }) => path));
    return {
        removed: removals.filter(({ path }) => !paths.has(path)).map(({ what }) => what),
        left: left.map(
            ({ what, method, path }) => `${what} (${method} ${path} answered ${answers.get(path) ?? "nothing"})`,
        ),
    };
}

/** The calls of Synapse's admin API; the devices last, whose sessions the others could still need. */
function removalsOf({ rooms, media, guests, devices }: Traces, userId: string, serverName: string): Removal[] {
    const [account, server] = [userId, serverName].map(encodeURIComponent) as [string, string];
    return [
        ...rooms.map((id) => ({
            what: `room ${id}`,
            method: "DELETE" as const,
            path: `/_synapse/admin/v1/rooms/${encodeURIComponent(id)}`,
            body: { purge: true },
        })),
        ...media.map((id) => ({
            what: `medium mxc://${serverName}/${id}`,
            method: "DELETE" as const,
            path: `/_synapse/admin/v1/media/${server}/${encodeURIComponent(id)}`,
            body: {},
        })),
        ...guests.map((id) => ({
            what: `guest ${id}`,
            method: "POST" as const,
            path: `/_synapse/admin/v1/deactivate/${encodeURIComponent(id)}`,
            body: { erase: true },
        })),
        ...devices.map((id) => ({
            what: `device ${id} of ${userId}`,
            method: "DELETE" as const,
            path: `/_synapse/admin/v2/users/${account}/devices/${encodeURIComponent(id)}`,
            body: {},
        })),
    ];
}

const nameEvent = z.object({ content: z.object({ name: z.string().optional() }) });

/** A room that somebody else was ever in, or invited to, is not ours to remove, whatever it is called. */
async function findTraces(client: Client, userId: string): Promise<Traces> {
    const named = await query(
        client,
        z.object({ id: z.string(), event: z.string() }),
        `SELECT r.room_id AS id, j.json AS event FROM public.local_current_membership m
        JOIN public.rooms r ON r.room_id = m.room_id AND r.creator = m.user_id
        JOIN public.events e ON e.room_id = m.room_id AND e.type = 'm.room.name'
        JOIN public.event_json j ON j.event_id = e.event_id
        WHERE m.user_id = $1
            AND NOT EXISTS (SELECT FROM public.room_memberships o WHERE o.room_id = m.room_id AND o.user_id <> m.user_id)`,
        [userId],
    );
    const ours = named.filter(({ event }) =>
        ourRooms.test(nameEvent.safeParse(JSON.parse(event)).data?.content.name ?? ""),
    );
    const ids = async (sql: string, values: readonly unknown[]): Promise<string[]> =>
        (await query(client, z.object({ id: z.string() }), sql, values)).map(({ id }) => id);
    const { name, type, bytes } = canaryMedium;
    return {
        rooms: [...new Set(ours.map(({ id }) => id))],
        media: await ids(
            `SELECT media_id AS id FROM public.local_media_repository
            WHERE user_id = $1 AND upload_name = $2 AND media_type = $3 AND media_length = $4`,
            [userId, name, type, bytes],
        ),
        guests: await ids(
            `SELECT d.user_id AS id FROM public.devices d JOIN public.users u ON u.name = d.user_id
            WHERE d.display_name = $1 AND u.is_guest = 1 AND u.deactivated = 0`,
            [deviceNames.canary],
        ),
        devices: await ids(
            "SELECT device_id AS id FROM public.devices WHERE user_id = $1 AND display_name = ANY ($2)",
            [userId, Object.values(deviceNames)],
        ),
    };
}
