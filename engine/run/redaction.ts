/** Keeps secrets out of everything this process says. Process-wide, as a secret is one wherever it turns up. */

/** Shorter strings are not replaced: too much innocent text would match. Such secrets must not be used at all. */
const shortestSecret = 4;
const replacement = "[secret]";

const known = new Set<string>();

/** Remembers a secret, each of its lines, and the forms it takes in URLs, JSON and base64. */
export function registerSecret(secret: string): void {
    const lines = secret
        .split(/\r?\n/)
        .flatMap((line) => [line, ...line.split(/\s+/).filter((word) => word.length >= 16)]);
    for (const text of [secret, secret.trim(), ...lines.map((line) => line.trim())]) {
        if (text.length < shortestSecret) continue;
        known.add(text);
        known.add(encodeURIComponent(text));
        known.add(JSON.stringify(text).slice(1, -1));
        known.add(Buffer.from(text).toString("base64"));
        known.add(Buffer.from(text).toString("base64").replace(/=+$/, ""));
        known.add(Buffer.from(text).toString("base64url"));
    }
}

/** The text with every registered secret replaced by `[secret]`, longest first. */
export function redact(text: string): string {
    let redacted = text;
    for (const secret of [...known].sort((a, b) => b.length - a.length))
        redacted = redacted.replaceAll(secret, replacement);
    return redacted;
}

/** Secrets of this length are not words, and a result that has one of them has it from where it must not. */
const unmistakable = 16;

/**
 * The text as it is: what other steps work with must not be altered, and a short secret may well be a word that belongs there, such as a
 * part of the server's name.
 *
 * @throws Error when a secret is in it that cannot be there by chance
 */
export function withoutSecret(text: string): string {
    const holds = [...known].some((secret) => secret.length >= unmistakable && text.includes(secret));
    if (holds) throw new Error("a secret would have become part of a result, which Pulumi keeps in plain text");
    return text;
}
