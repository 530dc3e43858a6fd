/** `copy: direct` of a source that is reached through ssh, as that of a homeserver on another machine is: by a socket, and by a port of loopback. */
import { mkdir, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { closeMachines, openMachine } from "../../engine/machines/openMachine.ts";
import type { Reachable } from "../../engine/machines/machine.ts";
import { makeKeys, missingForSsh, startLoopbackSsh } from "../mediaSsh/loopbackSsh.ts";
import { directFrom } from "./ours.ts";
import type { Bench, Measurement, Method } from "./method.ts";

const programs = ["sshd", "ssh", "python3"] as const;

const method = (id: string, as: "socket" | "port", title: string): Method => ({
    ...{ id, title, fillsTarget: true, collectsStatistics: true },
    missing: () => missingForSsh(id, programs),
    measure: (bench, database) => throughSsh(bench, database, as),
});

export const sshSocket = method("database-ssh", "socket", "copy: direct, its source through ssh, by a socket");
export const sshPort = method("database-ssh-port", "port", "copy: direct, its source through ssh, by a port");

async function throughSsh(bench: Bench, database: string, as: "socket" | "port"): Promise<Measurement> {
    const directory = join(bench.directory, "ssh");
    await mkdir(directory, { mode: 0o700 });
    try {
        const ssh = await startLoopbackSsh(await makeKeys(directory));
        try {
            const { host, port } = bench.source.address("");
            // The connection is there before a step copies: how long that takes does not depend on the database.
            const near = await openMachine(ssh.machine).reach({ host, port }, as);
            return await directFrom(bench, database, ends(near));
        } finally {
            await closeMachines();
            await ssh.stop();
        }
    } finally {
        await rm(directory, { recursive: true });
    }
}

/** As libpq has them: a socket is told by its directory, and by the port that its name ends in. */
function ends(near: Reachable): { readonly host: string; readonly port: number } {
    if (near.socket === undefined) return near;
    return { host: dirname(near.socket), port: Number(basename(near.socket).split(".").at(-1)) };
}
