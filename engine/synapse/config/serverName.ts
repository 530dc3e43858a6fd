/** Server names: the grammar of the Matrix specification (appendices, "Server Name"), as Synapse checks it. */
import { isIPv6 } from "node:net";
import { MigrationError } from "../../run/errors.ts";

/** Of a whole server name; the specification's recommendation, and the limit of user ids makes longer ones useless. */
const longestServerName = 230;

/**
 * Checks a server name and returns it as it is.
 *
 * Nothing is changed silently: every user, room and event id of the homeserver ends in these very characters, so another
 * spelling is another server. The error names the spelling that was probably meant.
 *
 * @param where  the setting it was read from
 * @param allow  upper case, for a homeserver that has it already: Synapse accepts it
 * @throws MigrationError SM-E0202 with the rule that is broken
 */
export function checkServerName(name: string, where: string, allow: { readonly upperCase?: boolean } = {}): string {
    const broken = brokenRule(allow.upperCase === true ? name.toLowerCase() : name);
    if (broken === undefined) return name;
    const meant = likelyMeant(name);
    throw new MigrationError("SM-E0202", {
        where,
        found: `${JSON.stringify(name)}: ${broken}`,
        expected: "a host name, IPv4 address or [IPv6 address], with :port only if user ids have it too",
        ...(meant === undefined
            ? {}
            : { fix: `is ${JSON.stringify(meant)} meant? Compare with the end of any user id` }),
    });
}

function brokenRule(name: string): string | undefined {
    if (name === "") return "it is empty";
    if (name.trim() !== name) return "it begins or ends with white space";
    if (/^[a-z][a-z0-9+.-]*:\/\//i.test(name)) return "it has a scheme; a server name is not a URL";
    if (name.startsWith("@") || name.startsWith("#") || name.startsWith("!")) return "it is a user, room or alias id";
    if (/[/?#]/.test(name)) return "it has a path; a server name is not a URL";
    if (/[^\x21-\x7e]/.test(name)) return "it is not ASCII; an internationalised name is written as xn--…";
    if (name.length > longestServerName) return `it is longer than ${longestServerName} characters`;
    if (isIPv6(name)) return "an IPv6 address needs brackets";
    const match = /^(\[[^\]]*\]|[^:]*)(?::(.*))?$/.exec(name);
    if (match === null) return "a port comes once, at the end";
    const [, host = "", port] = match;
    if (port !== undefined && !(/^[1-9]\d{0,4}$/.test(port) && Number(port) <= 65_535)) {
        return "what follows the colon is not a port from 1 to 65535";
    }
    if (host.startsWith("[")) return isIPv6(host.slice(1, -1)) ? undefined : "what is in brackets is no IPv6 address";
    if (/[A-Z]/.test(host)) return "it has upper-case letters; server names are compared byte by byte";
    if (host.endsWith(".")) return "it ends with a dot";
    if (!/^[0-9a-z-]+(\.[0-9a-z-]+)*$/.test(host)) {
        return "a host name consists of letters, digits and hyphens, in parts separated by single dots";
    }
    return undefined;
}

function likelyMeant(name: string): string | undefined {
    const host = name
        .trim()
        .replace(/^[a-z][a-z0-9+.-]*:\/\//i, "")
        .replace(/^[@!#][^:]*:/, "")
        .replace(/[/?#].*$/s, "");
    const bare = isIPv6(host) ? `[${host}]` : host;
    try {
        // The URL parser lower-cases and writes internationalised names in ASCII; it drops no port but 80 of http.
        const url = new URL(`matrix://${bare}`.replace(/^matrix/, "http"));
        const port = /:(\d+)$/.exec(bare)?.[1];
        const meant = `${url.hostname.replace(/\.$/, "")}${port === undefined ? "" : `:${port}`}`;
        return brokenRule(meant) === undefined ? meant : undefined;
    } catch {
        return undefined;
    }
}
