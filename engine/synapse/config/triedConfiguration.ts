/** Tries the configuration that the target will have before anything of the target is there: written to a private place, loaded, removed. */
import { chmod, mkdir, mkdtemp, readdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { MediaStorageProvider, Source } from "../../../contract/index.ts";
import { recordUser, targetUser } from "../../machines/targetUser.ts";
import { thisMachine } from "../../machines/local/localMachine.ts";
import { isAlive, readProcess } from "../../machines/procfs.ts";
import { removeTree } from "../../run/heldDirectory.ts";
import { secretsFileName, secretsFileText } from "../secrets/secretsFile.ts";
import { registerSecrets } from "../secrets/registerSecrets.ts";
import type { HomeserverSecrets } from "../secrets/homeserverSecrets.ts";
import { throwAwayKey } from "../secrets/signingKey.ts";
import { configuredFiles, type ConfiguredFiles } from "./configuredFiles.ts";
import type { HomeserverConfig } from "./homeserverConfig.ts";
import { loadWithSynapse, type LoadProblem } from "./loadWithSynapse.ts";
import { carriedSections } from "./movedSections.ts";
import { writeTargetFiles } from "./targetFiles.ts";

export interface TriedConfiguration {
    readonly source: Pick<Source, "kind">;
    readonly config: HomeserverConfig;
    readonly secrets: HomeserverSecrets;
    /** Where the target will be, for the user that its servers run as. */
    readonly targetDirectory: string;
    readonly user?: string | undefined;
    /** Of the target's Synapse. */
    readonly python: string;
    /** Major version of the target's PostgreSQL server, where it is known. */
    readonly serverMajor?: number | undefined;
    readonly mediaStorageProvider?: MediaStorageProvider | undefined;
    readonly servesMedia: boolean;
}

/** What Synapse says of one of the forms in which it would be started. */
export interface Tried {
    readonly isolated: boolean;
    readonly problems: readonly LoadProblem[];
}

/**
 * The target's own Synapse loads it, as the user that it will run as. It differs from what `configure` and `secrets` write in paths, in the
 * connection to a database that is not there yet, and in the signing key, which is a throw-away one.
 *
 * @param forms  isolated as a rehearsal's, or not, as the homeserver that it is to be
 * @throws MigrationError SM-E1003 for a file that would not come along, SM-E1101 when the Python cannot be run, SM-E1206 to SM-E1208
 */
export async function tryConfiguration(
    tried: TriedConfiguration,
    forms: readonly boolean[],
): Promise<{ readonly version: string | null; readonly tried: readonly Tried[] }> {
    await registerSecrets(tried.config);
    return inPrivate(async (directory) => {
        const place = (isolated: boolean): string => join(directory, isolated ? "isolated" : "whole");
        const written = await Promise.all(forms.map((isolated) => writeForm(tried, place(isolated), isolated)));
        const { version, problems } = await loadWithSynapse(
            written.map(({ configFiles }) => configFiles),
            {
                python: tried.python,
                user: await targetUser(tried.targetDirectory, tried.user),
                workingDirectory: directory,
                server: tried.serverMajor,
            },
        );
        // What it says of a copy is said of the file that somebody can edit.
        const names = written.flatMap(({ copies }) => copies).map(({ from, to }) => [to, from] as const);
        const told = (problem: LoadProblem): LoadProblem => ({
            ...problem,
            message: [...names, ...forms.map((form) => [place(form), tried.targetDirectory] as const)].reduce(
                (message, [ours, theirs]) => message.replaceAll(ours, theirs),
                problem.message,
            ),
        });
        return {
            version,
            tried: forms.map((isolated, position) => ({ isolated, problems: (problems[position] ?? []).map(told) })),
        };
    });
}

/** As `configure` and `secrets` do. */
async function writeForm(tried: TriedConfiguration, directory: string, isolated: boolean): Promise<ConfiguredFiles> {
    const { source, config, secrets, mediaStorageProvider, servesMedia, targetDirectory, user: wanted } = tried;
    const at = (name: string): string => join(directory, name);
    const carried = await carriedSections(config, { source, targetDirectory: directory, mediaStorageProvider });
    const [mediaStore, signingKeyFile, secretsFile] = [at("media_store"), at("signing.key"), at(secretsFileName)];
    const files = configuredFiles(config, carried, {
        ...{ targetDirectory: directory, mediaStore, signingKeyFile, secretsFile, isolated, servesMedia },
        listener: { bindAddress: "127.0.0.1", port: 8008 },
        database: { host: "127.0.0.1", port: 5432, name: "synapse", user: "synapse", password: "none" },
    });
    const contents = new Map([
        ...files.contents,
        [secretsFile, secretsFileText(secrets, carried)],
        [signingKeyFile, `${throwAwayKey()}\n`],
    ]);
    await mkdir(directory);
    const user = await targetUser(targetDirectory, wanted);
    if (user !== undefined) await recordUser(directory, user);
    await writeTargetFiles(directory, "configure", "tried", {
        contents,
        copies: files.copies,
        from: config.machine,
        ownDirectories: [files.logs, mediaStore],
    });
    return files;
}

const prefix = "synapse-migration-config-";

/** Does its work in a directory that is removed however it ends; after a kill that leaves no time for it, by whoever comes here next. */
async function inPrivate<T>(work: (directory: string) => Promise<T>): Promise<T> {
    await removeLeftBehind();
    const self = await readProcess(thisMachine, process.pid);
    const directory = await mkdtemp(join(tmpdir(), `${prefix}${process.pid}-${self?.startTicks ?? 0}-`));
    try {
        // The user that Synapse runs as goes through to what is its own.
        await chmod(directory, 0o711);
        return await work(directory);
    } finally {
        await removeTree(directory);
    }
}

/** What a kill left no time for: the homeserver's secrets are in it. */
export async function removeLeftBehind(): Promise<void> {
    for (const name of await readdir(tmpdir())) {
        const [pid, startTicks] = name.startsWith(prefix) ? name.slice(prefix.length).split("-") : [];
        if (pid === undefined || startTicks === undefined) continue;
        if (await isAlive(thisMachine, { pid: Number(pid), startTicks })) continue;
        // What is somebody else's is somebody else's to remove.
        await removeTree(join(tmpdir(), name)).catch(() => undefined);
    }
}
