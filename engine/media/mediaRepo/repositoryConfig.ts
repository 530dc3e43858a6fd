/** Reads what the migration needs of matrix-media-repo's configuration, as matrix-media-repo itself puts it together. */
import { readdir, readFile, stat } from "node:fs/promises";
import { isAbsolute, join } from "node:path";
import { parse } from "yaml";
import { z } from "zod";
import type { DatabaseAddress } from "../../postgres/connection.ts";
import { MigrationError } from "../../run/errors.ts";
import { registerSecret } from "../../run/redaction.ts";

export interface RepositoryConfig {
    readonly database: DatabaseAddress;
    /** Server names it serves. */
    readonly serverNames: readonly string[];
    /** Bytes of the longest media that it takes; undefined for no limit. */
    readonly longestBytes: number | undefined;
    /** Directories of its datastores on disk. */
    readonly directories: readonly string[];
    /** Whether it gives what is imported only to who has a token. */
    readonly requiresTokens: boolean;
    /** A token that its admin API takes from anybody; undefined where it has none. */
    readonly sharedSecret: string | undefined;
}

/** matrix-media-repo 1.3.7, common/config/conf_min_shared.go. */
const defaultMaxBytes = 104_857_600;
const postgresPort = 5432;

const mainConfig = z.object({
    repo: z.object({ freezeUnauthenticatedMedia: z.boolean().nullish() }).nullish(),
    database: z.object({ postgres: z.string() }),
    homeservers: z.array(z.object({ name: z.string() })).nullish(),
    uploads: z.object({ maxBytes: z.number().nullish() }).nullish(),
    datastores: z
        .array(
            z.object({
                type: z.string(),
                forKinds: z.array(z.string()).nullish(),
                opts: z.looseObject({ path: z.string().optional() }).nullish(),
            }),
        )
        .nullish(),
    sharedSecretAuth: z.object({ enabled: z.boolean().nullish(), token: z.string().nullish() }).nullish(),
});
type MainConfig = z.infer<typeof mainConfig>;

/**
 * Of the files of a directory later ones replace whole sections of earlier ones; a file that names a `homeserver` is about that one alone,
 * and the importer looks at none of its limits (common/config/access.go). Environment variables are not passed on to the importer.
 *
 * @throws MigrationError SM-E0532 when it cannot be read, or has not what the importer needs
 */
export async function readRepositoryConfig(path: string): Promise<RepositoryConfig> {
    const names: string[] = [];
    let sections: Record<string, unknown> = {};
    for (const file of await filesOf(path)) {
        const content = await readSections(file);
        if (typeof content["homeserver"] === "string") names.push(content["homeserver"]);
        else sections = { ...sections, ...content };
    }
    const parsed = mainConfig.safeParse(sections);
    if (!parsed.success) {
        const [issue] = parsed.error.issues;
        throw unusable(path, `${issue?.path.join(".") ?? "the whole"}: ${issue?.message ?? "of another shape"}`);
    }
    const { repo, database, homeservers, uploads, sharedSecretAuth } = parsed.data;
    const maxBytes = uploads?.maxBytes ?? defaultMaxBytes;
    const secret = sharedSecretAuth?.enabled === true ? (sharedSecretAuth.token ?? "") : "";
    if (secret !== "") registerSecret(secret);
    return {
        database: databaseOf(database.postgres, path),
        serverNames: [...(homeservers ?? []).map(({ name }) => name), ...names],
        longestBytes: maxBytes > 0 ? maxBytes : undefined,
        directories: directoriesOf(parsed.data, path),
        requiresTokens: repo?.freezeUnauthenticatedMedia === true,
        sharedSecret: secret === "" ? undefined : secret,
    };
}

async function filesOf(path: string): Promise<string[]> {
    try {
        if (!(await stat(path)).isDirectory()) return [path];
        const entries = await readdir(path, { withFileTypes: true });
        const files = entries.filter((entry) => !entry.isDirectory()).map(({ name }) => join(path, name));
        return files.sort((a, b) => (a < b ? -1 : 1));
    } catch (error) {
        throw unusable(path, error instanceof Error ? error.message : String(error));
    }
}

async function readSections(file: string): Promise<Record<string, unknown>> {
    try {
        const content: unknown = parse(await readFile(file, "utf8"));
        return z.record(z.string(), z.unknown()).parse(content ?? {});
    } catch (error) {
        // A parser's message quotes the line, and lines of this file hold passwords.
        const isMissing = error instanceof Error && "syscall" in error;
        throw unusable(file, isMissing ? error.message : "it is no YAML file of sections");
    }
}

/** `postgres://user:password@host:port/name?sslmode=…`, or the words of libpq, which Go's driver takes, too. */
function databaseOf(text: string, where: string): DatabaseAddress {
    const found = text.includes("://") ? fromUrl(text) : fromWords(text);
    if (found?.password !== undefined) registerSecret(found.password);
    if (found === undefined || found.name === "" || found.user === "")
        throw unusable(where, "database.postgres does not name a host, a database and a user");
    return found;
}

function fromUrl(given: string): DatabaseAddress | undefined {
    // A socket's directory is among the parameters then.
    const text = given.replace(/@(?=[/?])/, "@localhost");
    if (!URL.canParse(text)) return undefined;
    const { protocol, hostname, port, pathname, username, password, searchParams } = new URL(text);
    if (!["postgres:", "postgresql:"].includes(protocol)) return undefined;
    return address({
        host: searchParams.get("host") ?? hostname.replace(/^\[(.*)\]$/, "$1"),
        port,
        dbname: decodeURIComponent(pathname.slice(1)),
        user: decodeURIComponent(username),
        password: decodeURIComponent(password),
    });
}

function fromWords(text: string): DatabaseAddress {
    const words = [...text.matchAll(/(\w+)\s*=\s*(?:'((?:[^'\\]|\\.)*)'|(\S+))/g)].map(
        ([, key = "", quoted, plain]) => [key, (quoted ?? plain ?? "").replace(/\\(.)/g, "$1")],
    );
    return address(Object.fromEntries(words) as Record<string, string>);
}

function address(parts: Readonly<Record<string, string | undefined>>): DatabaseAddress {
    const { host = "localhost", port, dbname = "", user = "", password } = parts;
    return {
        host: host === "" ? "localhost" : host,
        port: port === undefined || port === "" ? postgresPort : Number(port),
        name: dbname,
        user,
        ...(password === undefined || password === "" ? {} : { password }),
    };
}

/** A path that is relative is one where matrix-media-repo was started, and another one where its importer is. */
function directoriesOf({ datastores }: MainConfig, where: string): string[] {
    const stores = datastores ?? [];
    const takes = (kinds: readonly string[] | null | undefined): boolean =>
        kinds?.some((kind) => kind === "all" || kind === "local_media") ?? false;
    if (!stores.some(({ forKinds }) => takes(forKinds))) throw unusable(where, "no datastore for the kind local_media");
    const paths = stores.flatMap(({ type, opts }) => (type === "file" ? [opts?.path ?? ""] : []));
    const relative = paths.find((path) => !isAbsolute(path));
    if (relative !== undefined) throw unusable(where, `a datastore in "${relative}", which is no absolute path`);
    return paths;
}

function unusable(where: string, found: string): MigrationError {
    return new MigrationError("SM-E0532", {
        where,
        found,
        expected: "the configuration that matrix-media-repo runs with: its database, homeservers and datastores",
    });
}
