/** Makes exports as the guides make them: with pg_dump, gzip and gpg themselves, so that nothing of ours reads only what ours wrote. */
import { randomBytes } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { parse, stringify } from "yaml";
import { z } from "zod";
import { runProgram, type ProgramOptions } from "../../engine/machines/program.ts";
import { withClient } from "../../engine/postgres/connection.ts";
import { thisMachine } from "../../engine/machines/local/localMachine.ts";
import { writeMediaArchive } from "../../engine/media/mediaRepoArchive/fromSynapseStore.ts";
import type { DatabaseAddress } from "../source/cluster.ts";
import type { ClusterRouteArgs, RouteArgs } from "./route.ts";

const timeoutSeconds = 600;

export const makePassphrase = (): string => randomBytes(24).toString("base64url");

/** @param args  of pg_dump, the file included */
export async function dump(
    { cluster, postgresPrograms, signal }: ClusterRouteArgs,
    args: readonly string[],
): Promise<void> {
    const { host, port, user, password } = cluster.administration;
    const { name } = cluster.synapse;
    await runProgram(
        join(postgresPrograms, "pg_dump"),
        ["--host", host, "--port", String(port), "--username", user, "--dbname", name, ...args],
        { environment: { PGPASSWORD: password }, timeoutSeconds, signal },
    );
}

/** `<file>` becomes `<file>.gz`. */
export async function gzip(file: string): Promise<string> {
    await runProgram("gzip", ["--force", file], { timeoutSeconds });
    return `${file}.gz`;
}

/** `<file>` becomes `<file>.gpg`, encrypted with the passphrase. */
export async function encrypt(file: string, passphrase: string): Promise<string> {
    const home = dirname(file);
    const options: ProgramOptions = { input: `${passphrase}\n`, environment: { GNUPGHOME: home }, timeoutSeconds };
    const quiet = ["--batch", "--yes", "--pinentry-mode", "loopback", "--no-symkey-cache", "--passphrase-fd", "0"];
    await runProgram("gpg", [...quiet, "--output", `${file}.gpg`, "--symmetric", file], options);
    await runProgram("gpgconf", ["--kill", "all"], { environment: { GNUPGHOME: home }, timeoutSeconds });
    await runProgram("rm", ["--", file], { timeoutSeconds });
    return `${file}.gpg`;
}

/** `directory` becomes `<file>`, a tar compressed by gzip that holds it under its own name. */
export async function tar(directory: string, file: string): Promise<string> {
    const options = { workingDirectory: dirname(directory), timeoutSeconds };
    await runProgram("tar", ["--create", "--gzip", "--file", file, basename(directory)], options);
    return file;
}

/** A homeserver.yaml as one writes it for a server that is only going to be moved to: nothing in it makes it the old one. */
export function writeBaseConfig({ source, directory }: RouteArgs): string {
    const known = new Set(["signing_key_path", "old_signing_keys", "password_config", "database", "media_store_path"]);
    const sections = z.record(z.string(), z.unknown()).parse(parse(readFileSync(source.files.configFile, "utf8")));
    const kept = Object.entries(sections).filter(([key]) => !known.has(key) && !/secret/.test(key));
    const file = join(directory, "homeserver.yaml");
    writeFileSync(file, stringify({ ...Object.fromEntries(kept), dynamic_thumbnails: true }), { mode: 0o600 });
    return file;
}

/** Exports the media as matrix-media-repo does, and leaves the source's database without rows of media, as it is where that serves them. */
export async function moveMediaToRepository(args: ClusterRouteArgs, destination: string): Promise<readonly string[]> {
    const { source, cluster, signal } = args;
    const { parts } = await withClient(ownerOf(cluster.synapse), { step: "rehearsal", signal }, (client) =>
        writeMediaArchive(client, {
            machine: thisMachine,
            serverName: source.serverName,
            mediaStore: source.files.mediaStore,
            destination,
            signal,
        }),
    );
    await cluster.query("TRUNCATE local_media_repository, local_media_repository_thumbnails");
    return parts;
}

const ownerOf = ({ host, port, name, user, password }: DatabaseAddress): DatabaseAddress => ({
    ...{ host, port, name, user, password },
});

/** What a provider tells its customer, beside the files. */
export function identitySecrets({ source, canary }: RouteArgs): Readonly<Record<string, string>> {
    return {
        signingKey: readFileSync(source.files.signingKeyFile, "utf8"),
        pepper: source.files.pepper,
        macaroonSecretKey: source.files.macaroonSecretKey,
        canaryPassword: canary.password,
    };
}
