/** Files that a configuration names and that are not on this machine: all of them at once, and whether a container's paths are the reason. */
import { dirname, join } from "node:path";
import type { Machine } from "../../machines/machine.ts";
import { pathInside } from "../../machines/pathMap.ts";
import { MigrationError, throwAll } from "../../run/errors.ts";
import { secretFiles } from "../secrets/inlineSecrets.ts";
import { configuredFile } from "./configuredFile.ts";
import type { HomeserverConfig, SecretSetting } from "./homeserverConfig.ts";
import { relocateFiles } from "./relocateFiles.ts";

/** A file that is needed, and what names it. */
export interface NeededFile {
    readonly setting: string;
    /** On the configuration's machine. */
    readonly path: string;
}

/** What images of Synapse, and the charts and playbooks around them, mount their volumes as. */
const containerDirectories = new Set(["/data", "/conf", "/config", "/secrets", "/media", "/synapse", "/as", "/keys"]);

/** What the target gets copies of. */
export function filesOfTarget(config: HomeserverConfig): NeededFile[] {
    const copies = relocateFiles(config.sections, (path) => configuredFile(config, path), "/").copies;
    return [
        ...secretFiles(config.sections).map(({ setting, path }) => ({ setting, path: configuredFile(config, path) })),
        ...copies.map(({ setting, from }) => ({ setting, path: from })),
    ];
}

/** What makes the homeserver this one, and what its database is reached with. */
export function filesOfIdentity(config: HomeserverConfig): NeededFile[] {
    const { signingKey, macaroonSecretKey, registrationSharedSecret, formSecret, database } = config;
    const secret = (setting: string, value: SecretSetting | undefined): NeededFile[] =>
        value !== undefined && "path" in value ? [{ setting, path: value.path }] : [];
    const { passfile, tls } = database.kind === "postgres" ? database : {};
    const files = {
        passfile,
        sslrootcert: tls?.rootCertificate,
        sslcert: tls?.certificate,
        sslkey: tls?.key,
    };
    // A store that is simply not there yet is another step's to judge.
    const [, top = ""] = config.mediaStorePath.split("/");
    return [
        ...(containerDirectories.has(`/${top}`) || pathInside(config.mediaStorePath) !== undefined
            ? [{ setting: "media_store_path", path: config.mediaStorePath }]
            : []),
        ...secret("signing_key_path", signingKey),
        ...secret("macaroon_secret_key_path", macaroonSecretKey),
        ...secret("registration_shared_secret_path", registrationSharedSecret),
        ...secret("form_secret_path", formSecret),
        ...Object.entries(files).flatMap(([name, path]) =>
            path === undefined || path === "system" ? [] : [{ setting: `database.args.${name}`, path }],
        ),
    ];
}

const mostShown = 12;

/** @throws MigrationError SM-E0231, SM-E1473, both at once */
export async function refuseMissingFiles(config: HomeserverConfig, files: readonly NeededFile[]): Promise<void> {
    const missing: NeededFile[] = [];
    const seen = new Set<string>();
    for (const file of files) {
        if (seen.has(file.path)) continue;
        seen.add(file.path);
        if (await isMissing(config.machine, file.path)) missing.push(file);
    }
    const inside = missing.filter(({ path }) => pathInside(path) !== undefined);
    const absent = missing.filter((file) => !inside.includes(file));
    const errors: MigrationError[] = [];
    if (inside.length > 0)
        errors.push(
            new MigrationError("SM-E1473", {
                where: config.files.join(", "),
                found: listed(`container ${config.view?.container ?? ""} has in none of its mounts:`, inside),
                expected: "every file that the configuration names, in a directory of the machine",
            }),
        );
    if (absent.length > 0)
        errors.push(
            new MigrationError("SM-E0231", {
                where: config.files.join(", "),
                found: listed(`${absent.length} that do not exist on ${config.machine.name}:`, absent),
                expected: "every file that the configuration names",
                ...(await wayOn(config, absent)),
            }),
        );
    throwAll(errors);
}

function listed(heading: string, files: readonly NeededFile[]): string {
    const shown = files.slice(0, mostShown).map(({ setting, path }) => `${setting}: ${pathInside(path)?.path ?? path}`);
    const more = files.length > mostShown ? [`and ${files.length - mostShown} more`] : [];
    return [heading, ...shown, ...more].join("\n");
}

/** How the paths of a container become those of this machine; nothing where they do not look like that. */
async function wayOn(config: HomeserverConfig, missing: readonly NeededFile[]): Promise<{ readonly fix?: string }> {
    // Its mounts have told where the paths of a container are.
    if (config.view !== undefined) return {};
    const map: Record<string, string> = {};
    for (const { path } of missing) {
        const [, top = ""] = path.split("/");
        const directory = `/${top}`;
        const beside = await directoryWith(config, path.slice(directory.length));
        if (beside !== undefined) map[directory] = beside;
        else if (containerDirectories.has(directory) || (await isMissing(config.machine, directory)))
            map[directory] ??= "DIRECTORY";
    }
    if (Object.keys(map).length === 0) return {};
    return {
        fix: `are these paths inside a container? Then say where this machine has them: source.paths ${JSON.stringify(map)} of the stack, or ${Object.entries(
            map,
        )
            .map((pair) => `--path ${pair.join("=")}`)
            .join(
                " ",
            )} of init. Of a homeserver whose container runs they are found by themselves: set source.service to {"kind": "container", "name": …} or {"kind": "compose", …}`,
    };
}

/** The configuration's directory, or one above it, that has the file under the same name: `/srv/x/data` for `/data/…`. */
async function directoryWith({ machine, directory }: HomeserverConfig, rest: string): Promise<string | undefined> {
    for (let above = directory; above !== dirname(above); above = dirname(above)) {
        if (!(await isMissing(machine, join(above, rest)))) return above;
    }
    return undefined;
}

async function isMissing({ files }: Machine, path: string): Promise<boolean> {
    return (await files.stat(path)) === undefined;
}
