/** What stands before a homeserver on its machine: programs that listen where clients and other servers knock, and the lines of their configuration. */
import { basename } from "node:path";
import type { Machine } from "../machines/machine.ts";
import { orElse } from "../machines/procText.ts";
import { listeningPorts, type ProcessFacts } from "../machines/procfs.ts";
import { redact } from "../run/redaction.ts";
import type { Discovery } from "./discovery.ts";
import { containerOf, ofProcess, seenThrough, type Ground } from "./rooted.ts";

type Proxy = Discovery["reverseProxies"][number];

/** Programs, and where each has its configuration unless its command line says another place. Directories are walked. */
const known: readonly { readonly program: string; readonly names: RegExp; readonly places: readonly string[] }[] = [
    { program: "nginx", names: /^(nginx|openresty|angie)$/, places: ["/etc/nginx", "/usr/local/openresty/nginx/conf"] },
    { program: "caddy", names: /^caddy$/, places: ["/etc/caddy", "/config/caddy"] },
    { program: "traefik", names: /^traefik$/, places: ["/etc/traefik", "/config"] },
    { program: "haproxy", names: /^haproxy$/, places: ["/etc/haproxy", "/usr/local/etc/haproxy"] },
    { program: "apache", names: /^(apache2|httpd)$/, places: ["/etc/apache2", "/etc/httpd/conf", "/etc/httpd/conf.d"] },
];
/** What is there and not in force, or of no interest. */
const passedOver =
    /^(?!(?:sites-available|mods-available|conf-available|modules-available|certs|ssl|private|\.git)$).*$/;

const publicPorts: ReadonlySet<number> = new Set([80, 443, 8448]);
const mostBytes = 256 * 1024;
const mostFiles = 400;
const mostMentions = 12;
const longestLine = 160;

/** The proxy that a command line is of; `nginx: master process …` is how nginx names itself. */
export function proxyProgram(argv: readonly string[]): string | undefined {
    const [first = ""] = argv;
    const name = /^([\w-]+): (master|worker) process/.exec(first)?.[1] ?? basename(first.split(" ")[0] ?? "");
    return known.find(({ names }) => names.test(name))?.program;
}

/** @param words  server names, and ports of homeservers as `:8008` */
export function mentionsIn(file: string, text: string, words: readonly string[]): Proxy["mentions"] {
    return text.split("\n").flatMap((line, index) => {
        const trimmed = line.trim();
        const isNamed = /\/_matrix|\/_synapse/.test(trimmed) || words.some((word) => containsWord(trimmed, word));
        if (trimmed.startsWith("#") || !isNamed) return [];
        return [{ file, line: index + 1, text: redact(trimmed).slice(0, longestLine) }];
    });
}

/** Not as a part of a longer name or number. */
function containsWord(line: string, word: string): boolean {
    for (let at = line.indexOf(word); at >= 0; at = line.indexOf(word, at + 1)) {
        const [before, after] = [line[at - 1] ?? " ", line[at + word.length] ?? " "];
        if ((word.startsWith(":") || !/[\w-]/.test(before)) && !/[\w-]/.test(after)) return true;
    }
    return false;
}

/**
 * @param words  as {@link mentionsIn} has them
 */
export async function reverseProxies(
    machine: Machine,
    processes: readonly ProcessFacts[],
    ground: Ground,
    words: readonly string[],
    signal: AbortSignal,
): Promise<Proxy[]> {
    const byPid = new Map(processes.map((one) => [one.pid, one]));
    const masters = processes.filter((one) => {
        const program = proxyProgram(one.argv);
        const parent = byPid.get(one.parent);
        return program !== undefined && (parent === undefined || proxyProgram(parent.argv) !== program);
    });
    return Promise.all(
        masters.map(async (one): Promise<Proxy> => {
            const program = proxyProgram(one.argv) ?? "";
            const container = await containerOf(machine, one, ground);
            const inside = container === undefined ? machine : seenThrough(machine, ofProcess(one.pid));
            // Masters that bind and hand over keep their sockets; those that let workers bind are rare.
            const ports = (await listeningPorts(machine, one.pid)).filter((port) => publicPorts.has(port));
            const mentions = await mentionsOf(inside, program, one.argv, words, signal);
            return {
                ...{ program, pid: one.pid, ports, mentions },
                ...(container === undefined ? unitOf(one) : { container }),
            };
        }),
    );
}

const unitOf = ({ keeping: { unit, userUnit } }: ProcessFacts): { readonly unit?: string } => {
    const name = userUnit ?? unit;
    return name === undefined ? {} : { unit: name };
};

async function mentionsOf(
    machine: Machine,
    program: string,
    argv: readonly string[],
    words: readonly string[],
    signal: AbortSignal,
): Promise<Proxy["mentions"]> {
    const places = known.find((one) => one.program === program)?.places ?? [];
    const named = argv.flatMap((word, index) => {
        const value = /^(?:-c|-f|-C|--config|--configFile|--configfile)$/.test(argv[index - 1] ?? "")
            ? word
            : /^--config(?:file)?=(.+)$/i.exec(word)?.[1];
        return value?.startsWith("/") === true ? [value] : [];
    });
    const found: Proxy["mentions"] = [];
    for (const file of await filesAt(machine, [...new Set([...named, ...places])], signal)) {
        if (found.length >= mostMentions || signal.aborted) break;
        const read = await orElse(machine.files.read(file, { atMost: mostBytes }), undefined);
        if (read !== undefined) found.push(...mentionsIn(file, read.content.toString("utf8"), words));
    }
    return found.slice(0, mostMentions);
}

async function filesAt({ files }: Machine, places: readonly string[], signal: AbortSignal): Promise<string[]> {
    const found = new Map<string, string>();
    for (const place of places) {
        const facts = await orElse(files.stat(place), undefined);
        if (facts?.kind === "file") found.set(facts.identity, place);
        if (facts?.kind !== "directory") continue;
        for await (const { path, facts: entry, error } of files.walk(place, "", { enters: passedOver, signal })) {
            if (found.size >= mostFiles) break;
            if (error !== undefined || entry.kind !== "file" || entry.size > mostBytes) continue;
            if (!found.has(entry.identity)) found.set(entry.identity, `${place}/${path}`);
        }
    }
    return [...found.values()];
}
