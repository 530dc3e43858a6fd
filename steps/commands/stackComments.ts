/** Comments in a stack's file: where each value comes from, and what only the operator can know. Pure. */
import { isMap, isScalar, parseDocument, type Scalar, type YAMLMap } from "yaml";
import type { HomeserverService } from "../../engine/discover/discovery.ts";
import type { FoundSource, StackSource } from "./stackSource.ts";

/** A place in the file, and what is written above it. */
export interface StackComment {
    readonly path: readonly string[];
    readonly text: string;
}

const namespace = "synapse-migration";
/** By these the comment at the file's top is known again when it is written anew. */
const [begin, end] = [" Written by synapse-migrate init.", " End of what synapse-migrate init has written."];

/** By this a comment above a value is known again. */
const mark = " init: ";

/** Values of a stack that were found on a machine. */
export function sourceComments({ named, homeserver, discovery }: FoundSource): StackComment[] {
    const { machine } = discovery;
    const hostKey = {
        option: "given on the command line with --host-key",
        knownHosts: "from the known_hosts of whoever has run init",
        confirmed: "shown by the machine, and confirmed by whoever has run init",
    }[named.hostKeyFrom ?? "option"];
    const { service } = homeserver;
    const inside = service.kind === "container" ? `container ${service.container.name ?? ""}` : undefined;
    const main = homeserver.running ? "its main process" : "what would start its main process";
    const at = (path: readonly string[], text: string): StackComment => ({
        path: [`${namespace}:source`, ...path],
        text,
    });
    return [
        {
            path: [`${namespace}:serverName`],
            text: `server_name of ${homeserver.configFiles.join(", ")} on ${machine}`,
        },
        {
            path: [`${namespace}:signingKey`],
            text: "from the file or line that homeserver.yaml names it in; as the next ones, encrypted by Pulumi",
        },
        at(
            ["homeserverConfig"],
            `in the order of ${main}'s command line${inside === undefined ? "" : `, as ${inside} has them`}`,
        ),
        { path: [`${namespace}:copy`], text: "its rows are in an SQLite file: Synapse's own script carries them over" },
        ...(named.description.kind === "ssh" ? [at(["machine", "hostKey"], hostKey)] : []),
        ...serviceComments(service, main).map(({ path, text }) => at(["service", ...path], text)),
    ];
}

/** Places below `service`. */
function serviceComments(service: HomeserverService, main: string): StackComment[] {
    if (service.kind !== "container")
        return service.kind === "systemd"
            ? [{ path: ["units"], text: `the unit of ${main}; its workers' units are found when it is stopped` }]
            : [{ path: ["pidFile"], text: "pid_file of homeserver.yaml, or --pid-file" }];
    const { name, unit, compose } = service.container;
    const others = "its workers' containers are found when it is stopped";
    if (unit !== undefined)
        return [
            {
                path: ["units"],
                text: `the unit that runs container ${name ?? ""} of ${main}; its workers' units are found`,
            },
        ];
    if (compose === undefined) return [{ path: ["name"], text: `the container of ${main}; ${others}` }];
    const directory = compose.workingDirectory === undefined ? "" : `, of ${compose.workingDirectory}`;
    return [
        { path: ["project"], text: `a label that Compose gave container ${name ?? ""}${directory}` },
        { path: ["services"], text: `likewise: the service of ${main}; ${others}` },
    ];
}

/** Values that init has chosen. */
export const targetComments: readonly StackComment[] = [
    {
        path: [`${namespace}:phase`],
        text: "assess changes nothing; stage, migrate, cutover and finish follow, each when you say so",
    },
    {
        path: [`${namespace}:target`, "directory"],
        text: "chosen by init, or given with --target-directory: everything of the target is below it",
    },
    {
        path: [`${namespace}:target`, "synapsePython"],
        text: "found by the toolchain, or given: Synapse of the source's version or newer",
    },
    {
        path: [`${namespace}:target`, "postgresPrograms"],
        text: "found by the toolchain, or given: of the source's version or newer",
    },
];

/** Values of a target that was found on a machine. */
export function installedComments(target: FoundSource): StackComment[] {
    const inTarget = sourceComments(target)
        .filter(({ path: [section, ...rest] }) => section === `${namespace}:source` && rest.length > 0)
        .map(({ path: [, ...rest], text }) => ({ path: [`${namespace}:target`, ...rest], text }));
    const rest = targetComments.filter(({ path }) => !path.includes("directory"));
    const directory = {
        path: [`${namespace}:target`, "directory"],
        text: "chosen by init, or given with --target-directory: here, for what is on its way there",
    };
    return [...inTarget, ...rest, directory];
}

/** What nobody but the operator can say, a line each. */
export function openQuestions(source: StackSource, targetDirectory: string, installed?: StackSource): string[] {
    const set = (key: string, value: string): string => `npx pulumi config set --path '${key}' ${value}`;
    const { found } = source;
    const proxies = found?.discovery.reverseProxies.flatMap(({ program, mentions }) => [
        ...new Set(mentions.map(({ file }) => `${program}, ${file}`)),
    ]);
    const { applicationServices = [], authenticationService, workers = [] } = found?.homeserver ?? {};
    const ofTarget =
        installed === undefined
            ? [
                  `is there room for the database twice and the media once below ${targetDirectory}? Else: ${set("target.directory", "DIRECTORY")}`,
                  `which port shall the gateway have, that proxy or DNS will point at? ${set("target.gateway.port", "PORT")}; a free one otherwise`,
                  "is it meant that nobody but this program looks after the target's processes? `npx pulumi config set acknowledge SM-W0745`; likewise other warnings that block, once each is read",
              ]
            : [
                  `is there room for the media below ${targetDirectory}, here, and for the database twice on the target's machine?`,
                  `may what the installed homeserver has in its database be put aside, after a checked copy? ${set("target.database.replace", "true")}`,
                  "who administers its PostgreSQL server? It is found if nothing is said; else target.database.admin, see docs/installed.md",
                  "does an installer write its configuration, as a playbook does? After the cut-over, and before that is run again, its variables are to have the moved homeserver's pepper and secrets; see docs/installed.md",
              ];
    return [
        ...ofTarget,
        "which test account proves logins, rooms and media before and after? `npx pulumi config set canaryUser NAME`, `npx pulumi config set --secret canaryPassword`, `npx pulumi config set canaryBaseUrl URL`",
        proxies === undefined || proxies.length === 0
            ? "what leads clients and other servers to it (DNS, reverse proxy, .well-known), and who changes that at the cut-over?"
            : `who changes the reverse proxy at the cut-over (${proxies.join("; ")}), and DNS?`,
        ...composeQuestions(found?.homeserver.service),
        ...(applicationServices.length === 0
            ? []
            : [
                  `do the application services reach the target, and it them? ${applicationServices.map(({ id, file }) => id ?? file).join(", ")}`,
              ]),
        ...(authenticationService === undefined
            ? []
            : [
                  `who moves the authentication service that keeps the accounts (${authenticationService.endpoint ?? authenticationService.setting})?`,
              ]),
        ...(workers.length === 0 || installed !== undefined
            ? []
            : [`is one process enough for what ${workers.length} workers do now? The target starts without workers`]),
    ];
}

/** Containers that are made anew are not those that the fence has stopped. */
function composeQuestions(service: HomeserverService | undefined): string[] {
    if (service?.kind !== "container" || service.container.unit !== undefined) return [];
    const { compose, name = "" } = service.container;
    const where =
        compose === undefined ? `replaces container ${name}` : `runs \`docker compose\` for project ${compose.project}`;
    const place = compose?.workingDirectory === undefined ? "" : ` in ${compose.workingDirectory}`;
    return [
        `what ${where}${place} by itself (a timer, a deployment, watchtower)? Take it out from the fence on: what it makes anew is not held down`,
    ];
}

/**
 * The file with comments above the values; the rest of it stays as it is, comments of others too.
 *
 * @param head  lines at the top
 */
export function withComments(text: string, comments: readonly StackComment[], head: readonly string[]): string {
    const document = parseDocument(text);
    for (const { path, text: comment } of comments) {
        const place = keyAt(document.contents, ["config", ...path]);
        if (place === undefined) continue;
        const { key, map, isFirst } = place;
        // What stands before the first key the parser gives to the mapping.
        const before = withoutMarked([isFirst ? map.commentBefore : undefined, key.commentBefore]);
        if (isFirst) map.commentBefore = null;
        key.commentBefore = [...before, `${mark}${comment}`].join("\n");
    }
    const own = [begin, ...head.map((line) => ` ${line}`), end].join("\n");
    const first = isMap(document.contents) ? document.contents.items[0]?.key : undefined;
    // The parser gives a comment before an empty line to the document, and one right before the first key to the mapping.
    const before = [
        document.commentBefore,
        document.contents?.commentBefore,
        isScalar(first) ? first.commentBefore : undefined,
    ];
    const others = before.map((block) => withoutOwn(block ?? "")).filter((block) => block !== "");
    if (document.contents !== null) document.contents.commentBefore = null;
    if (isScalar(first)) first.commentBefore = null;
    document.commentBefore = [own, ...others].join("\n");
    return document.toString({ lineWidth: 0 });
}

function withoutOwn(block: string): string {
    const lines = block.split("\n");
    const [from, to] = [lines.indexOf(begin), lines.indexOf(end)];
    return from < 0 || to < from ? block : [...lines.slice(0, from), ...lines.slice(to + 1)].join("\n");
}

/** Of others, who may have written some beside ours. */
function withoutMarked(blocks: readonly (string | null | undefined)[]): string[] {
    return blocks.flatMap((block) => (block ?? "").split("\n")).filter((line) => line !== "" && !line.startsWith(mark));
}

interface Place {
    readonly key: Scalar;
    readonly map: YAMLMap;
    readonly isFirst: boolean;
}

function keyAt(node: unknown, path: readonly string[]): Place | undefined {
    const [name, ...rest] = path;
    if (!isMap(node)) return undefined;
    const at = node.items.findIndex(({ key }) => isScalar(key) && key.value === name);
    const pair = node.items[at];
    if (pair === undefined || !isScalar(pair.key)) return undefined;
    return rest.length === 0 ? { key: pair.key, map: node, isFirst: at === 0 } : keyAt(pair.value, rest);
}
