/** Files that carry a real homeserver, made by the programs that people make them with, and what is told to the steps that read them. */
import { execFileSync } from "node:child_process";
import { mkdir, readdir, readFile } from "node:fs/promises";
import { createWriteStream } from "node:fs";
import { basename, dirname, join } from "node:path";
import { pipeline } from "node:stream/promises";
import { gzipSync } from "node:zlib";
import yazl from "yazl";
import type { z } from "zod";
import type { BundleSource, importContract } from "../../contract/index.ts";
import { runProgram } from "../../engine/machines/program.ts";
import { parseSigningKeys, verifyKeysOf } from "../../engine/synapse/secrets/signingKey.ts";
import { ensureToolchain } from "../../toolchain/toolchain.ts";
import { testServerName, type TestCluster } from "./cluster.ts";
import { synapseDumpKey } from "./synapseDump.ts";
import type { TestRun } from "./stepRun.ts";

export const bundlePassphrase = "correct horse battery staple";

/** A role that no test server has, as an export of a managed database names its administrator. */
const foreignRole = "rdsadmin";

/** Runs pg_dump as the superuser; the file is among the arguments. */
export async function pgDump(cluster: TestCluster, database: string, args: readonly string[]): Promise<void> {
    const { host, port, user, password = "" } = cluster.superuserAddress(database);
    const connection = ["--host", host, "--port", String(port), "--username", user, "--dbname", database];
    await runProgram(join(cluster.programs, "pg_dump"), [...connection, ...args], {
        environment: { PGPASSWORD: password },
        timeoutSeconds: 60,
    });
}

/** A plain dump whose objects belong to a role of another server. */
export async function plainDump(cluster: TestCluster, database: string): Promise<Buffer> {
    const file = join(cluster.directory, `${cluster.newName("plain")}.sql`);
    await pgDump(cluster, database, ["--file", file]);
    return edited(await readFile(file), /^(ALTER .* OWNER TO )synapse;$/gm, `$1${foreignRole};`);
}

/** A dump with other text in it, and the same bytes in all the rest. */
export function edited(dump: Buffer, text: RegExp, replacement: string): Buffer {
    const [before, after] = [dump.toString("latin1"), dump.toString("latin1").replace(text, replacement)];
    if (before === after) throw new Error(`the dump has nothing like ${String(text)}`);
    return Buffer.from(after, "latin1");
}

/** What `gpg --symmetric` makes of it. */
export function encrypted(data: Buffer, home: string): Buffer {
    const quiet = ["--batch", "--no-autostart", "--no-symkey-cache", "--pinentry-mode", "loopback"];
    const options = [...quiet, "--passphrase", bundlePassphrase, "--s2k-count", "65536", "--symmetric"];
    return execFileSync("gpg", options, {
        input: data,
        env: { PATH: process.env.PATH ?? "", GNUPGHOME: home },
        stdio: ["pipe", "pipe", "ignore"],
        maxBuffer: 256 * 1024 * 1024,
    });
}

export const compressed = (data: Buffer | string): Buffer => gzipSync(data, { level: 1 });

/** `directory` becomes `<directory>.tar.gz`, which holds it under its own name. */
export function tarred(directory: string): string {
    const file = `${directory}.tar.gz`;
    execFileSync("tar", ["-czf", file, "-C", dirname(directory), basename(directory)]);
    return file;
}

/** Files and directories become a zip. */
export async function zipped(file: string, ...paths: readonly string[]): Promise<string> {
    const archive = new yazl.ZipFile();
    for (const path of paths) {
        const names = await readdir(path).catch(() => undefined);
        if (names === undefined) archive.addFile(path, basename(path));
        else for (const name of names) archive.addFile(join(path, name), `${basename(path)}/${name}`);
    }
    archive.end();
    await pipeline(archive.outputStream, createWriteStream(file, { mode: 0o600 }));
    return file;
}

/** A directory of the test's own, mode 0700. */
export async function newDirectory(cluster: TestCluster, prefix = "files"): Promise<string> {
    const directory = join(cluster.directory, cluster.newName(prefix));
    await mkdir(directory, { mode: 0o700 });
    return directory;
}

export function backupOf(database: readonly string[], more: Partial<BundleSource> = {}): BundleSource {
    return { kind: "backup", serverName: testServerName, database: [...database], ...more };
}

/** Python of the Synapse that the target would have. */
export async function targetPython(): Promise<string> {
    const { synapse } = await ensureToolchain({ synapse: true }, () => undefined);
    if (synapse === undefined) throw new Error("the toolchain has no Synapse");
    return synapse.python;
}

/** Of the key that the dumped homeserver signed with. */
export async function dumpedVerifyKeys(): Promise<Record<string, string>> {
    return verifyKeysOf(parseSigningKeys(await synapseDumpKey(testServerName), "test"));
}

export async function importSpec(
    cluster: TestCluster,
    run: TestRun,
    source: BundleSource,
    name = cluster.newName("target"),
): Promise<z.infer<typeof importContract.spec>> {
    return {
        run: { id: run.id, directory: run.directory },
        source,
        database: cluster.target(name),
        safeguard: "absent",
        jobs: 2,
        passphrase: bundlePassphrase,
        targetPython: await targetPython(),
        verifyKeys: await dumpedVerifyKeys(),
    };
}
