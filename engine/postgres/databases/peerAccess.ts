/** The way to a server that asks the system who connects (`peer`, PostgreSQL manual 21.9): as the user of its machine that it lets in. */
import { dirname } from "node:path";
import { DatabaseError } from "pg";
import type { Machine } from "../../machines/machine.ts";
import { MigrationError } from "../../run/errors.ts";
import { describeAddress, type DatabaseAddress } from "../databaseAddress.ts";
import { openClient } from "../databaseTls.ts";

/** Names or numbers of users of the database's machine, the likeliest first; asked for only where they are needed. */
export type PeerUsers = () => Iterable<string | number> | AsyncIterable<string | number>;

const connectionTimeoutMillis = 10_000;

/** Of each machine, by socket and role: the user that was let in, undefined for ourselves. */
const letIn = new WeakMap<Machine, Map<string, string | number | undefined>>();

/**
 * The address as it is where its server lets us in, or is not to be asked now: who connects says what is wrong with it. Else by way of a relay,
 * as the first of the users that is let in.
 *
 * @param socket  of the server, as the machine has it
 * @throws MigrationError SM-E1442 where none of them is
 */
export async function withPeerAccess(
    address: DatabaseAddress,
    { machine, socket, users }: { readonly machine: Machine; readonly socket: string; readonly users: PeerUsers },
): Promise<DatabaseAddress> {
    const known = letIn.get(machine) ?? new Map<string, string | number | undefined>();
    letIn.set(machine, known);
    const key = JSON.stringify([socket, address.user, address.name]);
    if (known.has(key)) {
        const user = known.get(key);
        return user === undefined ? address : relayed(address, machine, socket, user);
    }
    const first = await login(address);
    if (first.outcome !== "refused") {
        if (first.outcome === "let in") known.set(key, undefined);
        return address;
    }
    const refusals = [`as ourselves: ${first.found}`];
    const tried = new Set<string | number>();
    for await (const user of users()) {
        if (tried.has(user)) continue;
        tried.add(user);
        const place = await relayed(address, machine, socket, user).catch(noRelay);
        if (place instanceof MigrationError) {
            refusals.push(place.detail.found);
            continue;
        }
        const { outcome, found } = await login(place);
        if (outcome !== "refused") {
            if (outcome === "let in") known.set(key, user);
            return place;
        }
        refusals.push(`as user ${place.via?.user ?? user}: ${found}`);
    }
    throw new MigrationError("SM-E1442", {
        where: `${describeAddress(address)}${address.machine === undefined ? ` on ${machine.name}` : ""}`,
        found: `role "${address.user}"\n${refusals.join("\n")}`,
        expected:
            "the user that Synapse runs as, whom pg_hba.conf (`peer`) and pg_ident.conf (`map`) let in as this role",
    });
}

async function relayed(
    address: DatabaseAddress,
    machine: Machine,
    socket: string,
    user: string | number,
): Promise<DatabaseAddress> {
    const near = await machine.reachAs(socket, user);
    const via = { host: dirname(near.socket), port: address.port, withoutTls: true, user: near.user };
    return { ...address, via };
}

function noRelay(error: unknown): MigrationError {
    if (error instanceof MigrationError && error.code === "SM-E1442") return error;
    throw error;
}

interface Login {
    /** `open`: it is something else that keeps us from it. */
    readonly outcome: "let in" | "refused" | "open";
    readonly found: string;
}

async function login(address: DatabaseAddress): Promise<Login> {
    try {
        const client = await openClient(address, {
            application_name: "synapse-migration login",
            connectionTimeoutMillis,
        });
        await client.end();
        return { outcome: "let in", found: "" };
    } catch (error) {
        return {
            outcome: isRefusedByName(error) ? "refused" : "open",
            found: error instanceof Error ? error.message : "",
        };
    }
}

/** What it says is in its own language, and the same code has other reasons; of the functions that give it this is the one (`auth.c`). */
function isRefusedByName(error: unknown): boolean {
    return error instanceof DatabaseError && error.code === "28000" && error.routine === "auth_failed";
}
