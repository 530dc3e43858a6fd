/**
 * Makes what a run has kept fit to be shown to strangers: who is who stays recognisable within one bundle, and nobody can be named by it.
 *
 * A name becomes an alias that is keyed, so that the same person, room or address has the same alias all through, and guessing names does not
 * bring them back.
 */
import { createHmac } from "node:crypto";
import { isIP, isIPv6 } from "node:net";
import { withoutSecrets } from "./safeText.ts";

export interface MaskOptions {
    /** Of this bundle alone. */
    readonly key: Buffer;
    readonly serverName: string | undefined;
    /** Other names that stand alone in texts: of machines, of databases' hosts. */
    readonly hosts: readonly string[];
}

/** Names that say nothing of anybody. */
const harmlessHosts = new Set([
    "localhost",
    "127.0.0.1",
    "::1",
    "0.0.0.0",
    "::",
    "[::1]",
    "matrix.org",
    "spec.matrix.org",
    "github.com",
]);
const own = "server.invalid";

/** `@user:server`, `!room:server`, `#alias:server`, `$event:server` (Matrix specification, appendices). */
const identifier =
    /([@!#$])([^\s"'`,;:()<>[\]{}\\/]+):((?:[a-z0-9-]+\.)*[a-z0-9-]+|\[[0-9a-f:.]+\]|[0-9.]+)(:\d{1,5})?/gi;
/** Of rooms of version 3 and later, without a server. */
const eventHash = /\$[A-Za-z0-9+/_-]{43}(?![A-Za-z0-9+/_-])/g;
const mail = /[A-Za-z0-9._%+-]{1,64}@(?:[A-Za-z0-9-]+\.)+[A-Za-z]{2,}/g;
const ipv4 = /(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?![\d.]*\d)/g;
const ipv6 = /(?<![0-9a-z:])(?:[0-9a-f]{0,4}:){2,7}[0-9a-f]{0,4}(?![0-9a-z:])/gi;
const urlHost = /(\b[a-z][a-z0-9+.-]{0,20}:\/\/)((?:[a-z0-9-]+\.)*[a-z0-9-]+)(?=[:/?#\s"'`,;)]|$)/gi;
const home = /(\/home\/)[^/\s"']+/g;

/** @returns what replaces every name in a text, and leaves lengths, counts, digests, instants and codes as they are */
export function masking({ key, serverName, hosts }: MaskOptions): (text: string) => string {
    const alias = (kind: string, name: string): string =>
        `${kind}-${createHmac("sha256", key).update(`${kind}\0${name.toLowerCase()}`).digest("hex").slice(0, 10)}`;
    const domain = (name: string): string => {
        if (harmlessHosts.has(name.toLowerCase()) || name.endsWith(".invalid")) return name;
        return `${alias("host", name)}.invalid`;
    };
    const kinds: Readonly<Record<string, string>> = { "@": "user", "!": "room", "#": "alias", $: "event" };
    const known = [...new Set(hosts)].filter((host) => host.length > 2 && !harmlessHosts.has(host.toLowerCase()));
    return (text) => {
        let masked = withoutSecrets(text);
        masked = masked.replace(
            identifier,
            (_all, sigil: string, local: string, server: string, port: string | undefined) =>
                `${sigil}${alias(kinds[sigil] ?? "name", `${local}:${server}`)}:${isOwn(server + (port ?? ""), serverName) ? own : domain(server)}`,
        );
        masked = masked.replace(eventHash, (event) => `$${alias("event", event)}`);
        masked = masked.replace(mail, (address) => `${alias("mail", address)}@mail.invalid`);
        if (serverName !== undefined) masked = replaceName(masked, serverName, own);
        for (const host of known) masked = replaceName(masked, host, domain(host));
        masked = masked.replace(
            urlHost,
            (_all, scheme: string, host: string) => scheme + (isIP(host) > 0 ? host : domain(host)),
        );
        masked = masked.replace(ipv4, (address) =>
            isIP(address) === 4 && !isLocal(address) ? alias("ip", address) : address,
        );
        masked = masked.replace(ipv6, (address) =>
            isIPv6(address) && !isLocal(address) ? alias("ip", address) : address,
        );
        return masked.replace(home, "$1user");
    };
}

const isOwn = (server: string, serverName: string | undefined): boolean =>
    serverName !== undefined && server.toLowerCase() === serverName.toLowerCase();

const isLocal = (address: string): boolean => harmlessHosts.has(address) || address.startsWith("127.");

/** As a whole name: `example.org` in `old.example.org` too, and not in `example.organic`. */
function replaceName(text: string, name: string, by: string): string {
    const escaped = name.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
    return text.replace(new RegExp(`(?<![A-Za-z0-9-])${escaped}(?![A-Za-z0-9-])`, "gi"), by);
}
