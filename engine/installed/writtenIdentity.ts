/** Puts an identity where an installed homeserver reads its own: beside its configuration where it reads a directory, else into its last file. */
import { dirname, join } from "node:path";
import { z } from "zod";
import type { SelfHostedSource } from "../../contract/source.ts";
import { hostPath } from "../machines/pathMap.ts";
import { portsInUse } from "../machines/procfs.ts";
import { undefinedUnlessLost } from "../machines/unlessLost.ts";
import { sourceMachine } from "../machines/sourceMachine.ts";
import { removePrivateFile, writePrivateFile } from "../run/atomicFile.ts";
import { MigrationError } from "../run/errors.ts";
import { parseJson } from "../run/parseJson.ts";
import { readTrusted } from "../run/trustedFile.ts";
import { placeOn } from "../machines/placeOn.ts";
import type { HomeserverConfig } from "../synapse/config/homeserverConfig.ts";
import { readSourceConfig } from "../synapse/config/sourceConfig.ts";
import { stringifySynapseYaml } from "../synapse/config/pythonYaml.ts";
import { compareSecrets, type GivenSecrets } from "../synapse/secrets/compareSecrets.ts";
import { readHomeserverSecrets } from "../synapse/secrets/homeserverSecrets.ts";
import { closedListeners } from "./closedListeners.ts";
import { editedConfig } from "./editedConfig.ts";
import { identitySettings, type MovedIdentity } from "./identitySettings.ts";
import { KeptFiles, type Ownership } from "./keptFiles.ts";

/** Read after all others of its directory. */
const dropInName = "zz-synapse-migration.yaml";
const firstClosedPort = 18_008;
const heading =
    "# What makes this homeserver the one that was moved. Written by synapse-migration: without it, nobody can log in and no other server trusts it.\n";

/** Whether clients find it. */
export type Door = "closed" | "open";

const decidedName = "installed-settings.json";
const decided = z.strictObject({
    /** Of another run, they may be of other secrets. */
    run: z.string(),
    /** They hold secrets, as the file does that they are written to. */
    settings: z.record(z.string(), z.unknown()),
    /** The section `listeners` of a homeserver that nobody finds. */
    closed: z.array(z.unknown()),
    file: z.string(),
    /** Nobody's but ours. */
    isOwn: z.boolean(),
    like: z.strictObject({ mode: z.number(), uid: z.number(), gid: z.number() }),
});

/**
 * Writes the settings, and the signing key's file where the configuration names one; what was there is kept in that directory. The
 * homeserver will listen where nobody finds it.
 *
 * @returns the files that were written, as their machine has them
 * @throws MigrationError SM-E1602 for one that somebody else has written since; SM-E1601
 */
export async function writeIdentity(
    deployment: SelfHostedSource,
    moved: MovedIdentity,
    { run, directory }: { readonly run: string; readonly directory: string },
): Promise<readonly string[]> {
    const record = join(directory, decidedName);
    // What was there before is only to be seen the first time: not through what an earlier run has written.
    const known = (await readTrusted(record)) === undefined ? undefined : await readDecided(directory);
    if (known !== undefined && known.run !== run) await removeIdentity(deployment, directory);
    const config = await readSourceConfig(deployment);
    const kept = await KeptFiles.open(config.machine, directory);
    if (known?.run !== run)
        await writePrivateFile(record, JSON.stringify({ run, ...(await decide(deployment, config, moved)) }));
    const { like } = await readDecided(directory);
    const { signingKey } = config;
    if ("path" in signingKey) await kept.write(signingKey.path, moved.signingKey, { ...like, mode: 0o600 });
    await writeSettings(kept, directory, "closed");
    return kept.paths;
}

/** Has the homeserver listen, from its next start on, where its installer had it listen; or where nobody finds it. @throws MigrationError SM-E1602 */
export async function setDoor(deployment: SelfHostedSource, door: Door, directory: string): Promise<void> {
    await writeSettings(await KeptFiles.open(sourceMachine(deployment), directory), directory, door);
}

/** @throws MigrationError SM-E1602 for a file that is not as this run has left it */
export async function requireWritten(deployment: SelfHostedSource, directory: string): Promise<void> {
    await (await KeptFiles.open(sourceMachine(deployment), directory)).requireWritten();
}

/** Puts back what was there. @returns what somebody else has written since, and was left, a line each */
export async function removeIdentity(deployment: SelfHostedSource, directory: string): Promise<string[]> {
    const left = await (await KeptFiles.open(sourceMachine(deployment), directory)).putBack();
    await removePrivateFile(join(directory, decidedName));
    return left;
}

async function writeSettings(kept: KeptFiles, directory: string, door: Door): Promise<void> {
    const { settings, closed, file, isOwn, like } = await readDecided(directory);
    const all = { ...settings, ...(door === "closed" ? { listeners: closed } : {}) };
    const text = isOwn ? heading + stringifySynapseYaml(all) : editedConfig((await kept.original(file)) ?? "", all);
    await kept.write(file, text, { ...like, mode: 0o600 });
}

async function decide(
    deployment: SelfHostedSource,
    config: HomeserverConfig,
    moved: MovedIdentity,
): Promise<Omit<z.infer<typeof decided>, "run">> {
    return {
        settings: identitySettings(config.sections, moved),
        closed: await closedFor(config),
        ...(await settingsPlace(deployment, config)),
        like: await likeSynapses(config),
    };
}

async function readDecided(directory: string): Promise<z.infer<typeof decided>> {
    return decided.parse(parseJson((await readTrusted(join(directory, decidedName))) ?? ""));
}

/**
 * Whether what Synapse will read is what was to be written.
 *
 * @throws MigrationError SM-E1603
 */
export async function requireIdentity(deployment: SelfHostedSource, given: GivenSecrets): Promise<void> {
    const config = await readSourceConfig(deployment);
    const problems = compareSecrets(given, await readHomeserverSecrets(config), config.files.join(", "));
    if (problems.length === 0) return;
    throw new MigrationError("SM-E1603", {
        where: placeOn(config.machine, config.files.join(", ")),
        found: problems.map(({ detail }) => `${detail.where}: ${detail.found}`).join("\n"),
        expected: "signing key, pepper and macaroon secret of the homeserver that was moved",
        changed: "the settings were written, and the homeserver was not started",
    });
}

interface SettingsPlace {
    readonly file: string;
    /** A file that is nobody's but ours. */
    readonly isOwn: boolean;
}

/** The last directory of `--config-path`, if no file comes after it; else the last file. */
async function settingsPlace(
    deployment: SelfHostedSource,
    { machine, view, paths }: HomeserverConfig,
): Promise<SettingsPlace> {
    const last = deployment.homeserverConfig.at(-1) ?? "/";
    const there = view === undefined ? last : hostPath(last, { ...view.paths, ...paths });
    const isDirectory = (await machine.files.stat(there))?.kind === "directory";
    return isDirectory ? { file: join(there, dropInName), isOwn: true } : { file: there, isOwn: false };
}

/** Owner and group of what Synapse must be able to read there: of its signing key, else of what it writes. */
async function likeSynapses({ signingKey, mediaStorePath, machine, directory }: HomeserverConfig): Promise<Ownership> {
    const places = [...("path" in signingKey ? [signingKey.path] : []), mediaStorePath, directory];
    for (const path of places) {
        const facts = await machine.files.stat(path).catch(undefinedUnlessLost);
        if (facts !== undefined) return { uid: facts.uid, gid: facts.gid, mode: facts.mode };
    }
    throw new MigrationError("SM-E1601", {
        where: placeOn(machine, dirname(places[0] ?? directory)),
        found: `neither a signing key nor a media store: ${places.join(", ")}`,
        expected: "a homeserver that was started at least once",
        changed: "nothing",
    });
}

async function closedFor({ sections, machine, view, listeners }: HomeserverConfig): Promise<unknown[]> {
    const inOwnNetwork = view?.inOwnNetwork ?? false;
    const used = inOwnNetwork ? new Set<number>() : await portsInUse(machine);
    const own = new Set(listeners.map(({ port }) => port));
    const free: number[] = [];
    for (let port = firstClosedPort; free.length < listeners.length; port++)
        if (!used.has(port) && !own.has(port)) free.push(port);
    const port = (index: number): number => free[index] ?? firstClosedPort;
    return closedListeners(sections["listeners"], { port, inOwnNetwork });
}
