/** What a look has found, for people: read in a hurry, from top to bottom, a line a fact. Pure. */
import type { ContainerFacts, Database, Discovery, Homeserver, HomeserverService, Media } from "./discovery.ts";

const width = 13;
const line = (label: string, text: string): string => `  ${label.padEnd(width)} ${text}`;
/** Further lines of one fact are below its first, without the label. */
const lines = (label: string, texts: readonly string[]): string[] =>
    texts.map((text, index) => line(index === 0 ? label : "", text));

export function discoveryText(found: Discovery): string {
    const { homeservers, machine, asRoot, seconds } = found;
    const count =
        homeservers.length === 0
            ? "no homeserver"
            : homeservers.length === 1
              ? "1 homeserver"
              : `${homeservers.length} homeservers`;
    return [
        `${machine}: ${count}${asRoot ? "" : " (looked at without being root)"}, ${seconds.toFixed(1)} s`,
        ...homeservers.flatMap((one) => ["", ...homeserverLines(one)]),
        ...section("in front of it, on this machine", found.reverseProxies.flatMap(proxyLines)),
        ...section("beside it", [
            ...found.mediaRepositories.map(
                (one) => `${neighbour(one)}${one.configFile === undefined ? "" : `, ${one.configFile}`}`,
            ),
            ...found.authenticationServices.map(neighbour),
        ]),
        ...section("not seen", found.notSeen),
        ...section("not understood", found.notUnderstood),
        "",
    ].join("\n");
}

function section(title: string, texts: readonly string[]): string[] {
    return texts.length === 0 ? [] : ["", title, ...texts.map((text) => `  ${text}`)];
}

function homeserverLines(one: Homeserver): string[] {
    const user = one.user === undefined ? undefined : (one.user.name ?? `user id ${one.user.uid}`);
    return [
        `${one.serverName ?? "a homeserver whose name is not known"} ${one.running ? "(running)" : "(NOT running)"}`,
        line("version", versionText(one.version)),
        ...lines("service", serviceTexts(one.service)),
        ...(user === undefined
            ? []
            : [line("runs as", `${user}${one.workingDirectory === undefined ? "" : ` in ${one.workingDirectory}`}`)]),
        ...lines("configuration", one.configFiles.length === 0 ? ["none on its command line"] : one.configFiles),
        ...lines(
            "volumes",
            Object.entries(one.paths).map(([inside, outside]) => `${inside} is ${outside}`),
        ),
        ...lines("listens on", one.listeners),
        ...(one.publicBaseUrl === undefined ? [] : [line("public at", one.publicBaseUrl)]),
        ...(one.database === undefined ? [] : lines("database", databaseTexts(one.database))),
        ...(one.media === undefined ? [] : lines("media", mediaTexts(one.media))),
        ...lines("workers", workerTexts(one)),
        ...lines(
            "app services",
            one.applicationServices.map(
                ({ id, file, url }) => `${id ?? "?"}${url === undefined ? "" : ` at ${url}`} (${file})`,
            ),
        ),
        ...(one.authenticationService === undefined
            ? []
            : [
                  line(
                      "accounts",
                      `${one.authenticationService.setting}, ${one.authenticationService.endpoint ?? "no address"}`,
                  ),
              ]),
        ...lines("unclear", one.notUnderstood),
    ];
}

function versionText({ running, installed }: Homeserver["version"]): string {
    if (running === undefined) return installed === undefined ? "not known" : `Synapse ${installed}`;
    // A version made from a branch has more words after the number.
    const isOther = installed !== undefined && running.split(" ")[0] !== installed;
    return `Synapse ${running}${isOther ? `; ${installed} is installed and not running yet` : ""}`;
}

function serviceTexts(service: HomeserverService): string[] {
    switch (service.kind) {
        case "systemd":
            return [`systemd: ${service.units.join(", ")}`];
        case "systemdUser":
            return [`a user's systemd: ${service.units.join(", ")}`];
        case "container":
            return containerTexts(service.container);
        case "process":
            return [
                `a process${service.pid === undefined ? "" : ` (${service.pid})`} that nothing is seen to keep; ${service.pidFile === undefined ? "no pid file" : `pid file ${service.pidFile}`}`,
            ];
        case "unknown":
            return ["only workers of it are seen"];
    }
}

function containerTexts({ id, name, image, engine, compose, unit, restartPolicy }: ContainerFacts): string[] {
    const what = `${engine ?? "a"} container ${name ?? shortId(id)}${image === undefined ? "" : ` of ${image}`}`;
    return [
        `${what}${restartPolicy === undefined ? "" : `, restart ${restartPolicy}`}`,
        ...(compose === undefined
            ? []
            : [`compose project ${compose.project}, service ${compose.service}: ${compose.configFiles.join(", ")}`]),
        ...(unit === undefined ? [] : [`kept by systemd: ${unit}`]),
    ];
}

function databaseTexts(database: Database): string[] {
    const missing = database.notSeen === undefined ? [] : [`not seen: ${database.notSeen}`];
    if (database.kind === "several") return [`in parts: ${database.names.join(", ")}`, ...missing];
    const size = database.sizeBytes === undefined ? "" : `, ${sizeText(database.sizeBytes)}`;
    if (database.kind === "sqlite") return [`SQLite, ${database.path}${size}`, ...missing];
    const { host, port, name, user, serverVersion, via } = database;
    const place = host.startsWith("/") ? `socket in ${host}` : `${host}:${port}`;
    return [
        `PostgreSQL${serverVersion === undefined ? "" : ` ${serverVersion}`}, ${name ?? "?"} as ${user ?? "?"}, ${place}${size}`,
        ...(via === undefined ? [] : [`reached by ${via}`]),
        ...missing,
    ];
}

function mediaTexts({
    path,
    sizeBytes,
    files,
    remoteBytes,
    complete,
    buckets,
    otherProviders,
    notSeen,
}: Media): string[] {
    const counted = `${sizeText(sizeBytes)} in ${files} files, of which ${sizeText(remoteBytes)} are other servers' media`;
    const isSeen = notSeen === undefined || files > 0;
    return [
        isSeen ? `${path}: ${complete ? "" : "at least "}${counted}` : path,
        ...buckets.map(
            ({ bucket, prefix, endpoint }) =>
                `S3 bucket ${bucket}${prefix === "" ? "" : `, prefix ${prefix}`}${endpoint === undefined ? "" : ` at ${endpoint}`}`,
        ),
        ...otherProviders.map((name) => `storage provider ${name}`),
        ...(notSeen === undefined ? [] : [`not seen: ${notSeen}`]),
    ];
}

function workerTexts({ workers }: Homeserver): string[] {
    return workers.map(({ name, app, unit, container, pid, running }) => {
        const keeper =
            unit ??
            (container === undefined ? undefined : `container ${shortId(container)}`) ??
            (pid === undefined ? undefined : `process ${pid}`);
        const kind = app === undefined || app === "generic_worker" ? "" : ` (${app})`;
        return `${name ?? "?"}${kind}${keeper === undefined ? "" : `, ${keeper}`}${running ? "" : ", NOT running"}`;
    });
}

function proxyLines({ program, pid, unit, container, ports, mentions }: Discovery["reverseProxies"][number]): string[] {
    const on = ports.length === 0 ? "" : ` on ${ports.join(", ")}`;
    return [
        `${neighbour({ program, pid, unit, container })}${on}`,
        ...mentions.map((one) => `  ${one.file}:${one.line}: ${one.text}`),
    ];
}

function neighbour(one: {
    program: string;
    pid: number;
    unit?: string | undefined;
    container?: string | undefined;
}): string {
    const keeper = one.container === undefined ? one.unit : `container ${shortId(one.container)}`;
    return `${one.program} (process ${one.pid}${keeper === undefined ? "" : `, ${keeper}`})`;
}

const shortId = (id: string): string => (/^[0-9a-f]{64}$/.test(id) ? id.slice(0, 12) : id);

/** In the largest unit that leaves a number before the point. */
export function sizeText(bytes: number): string {
    const units = ["KiB", "MiB", "GiB", "TiB"];
    if (bytes < 1024) return `${bytes} bytes`;
    const step = Math.min(Math.floor(Math.log2(bytes) / 10), units.length);
    return `${(bytes / 2 ** (10 * step)).toFixed(1)} ${units[step - 1] ?? ""}`;
}
