/** Makes every text of a report safe to show: no secrets, nothing that hides or reorders what is read. */
import { redact } from "../run/redaction.ts";

/**
 * Secrets that this process was never told of still have shapes of their own. A report is made of fields that hold none; this is for
 * the message of a program that printed one.
 */
const secretShapes: readonly [RegExp, string][] = [
    // A line of a signing key file. The public halves have no spaces in them and are left.
    [/\bed25519\s+\S+\s+[A-Za-z0-9+/_-]{40,}=*/g, "[secret]"],
    // Access, refresh and login tokens of Synapse and of its authentication service.
    [/\b(?:syt|syr|syl|mat|mct|mcr|mpt)_[A-Za-z0-9_-]{8,}/g, "[secret]"],
    // Macaroons begin with their location packet.
    [/\bMD[A-Za-z0-9]{2}bG9jYXRpb24[A-Za-z0-9+/_=-]+/g, "[secret]"],
    [/(\b[a-z][a-z0-9+.-]*:\/\/[^\s/:@]*:)[^\s/@]+@/gi, "$1[secret]@"],
    [
        /(\b(?:password|passphrase|pepper|macaroon_secret_key|registration_shared_secret|form_secret|access_token)\b["']?\s*[:=]\s*["']?)[^\s"',;&]+/gi,
        "$1[secret]",
    ],
    [/-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)/g, "[secret]"],
];

/** Control and format characters: they hide, or change the direction of, the text around them. Line ends and tabs are harmless. */
const invisible = /(?![\n\t])[\p{Cc}\p{Cf}\u2028\u2029]/gu;

/** The text without secrets, with lone surrogates replaced. */
export function withoutSecrets(text: string): string {
    let safe = Buffer.from(redact(text)).toString();
    for (const [shape, replacement] of secretShapes) safe = safe.replace(shape, replacement);
    return safe;
}

/** Shows invisible and direction-changing characters as their code points, in brackets: `[U+202E]`. Line ends and tabs stay. */
export function visible(text: string): string {
    return text.replace(/\r\n?/g, "\n").replace(invisible, (character) => `[${codePoint(character)}]`);
}

const codePoint = (character: string): string =>
    `U+${(character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0")}`;

/** Applies {@link withoutSecrets} to every string and every key in a JSON value. */
export function scrubbed(value: unknown): unknown {
    if (typeof value === "string") return withoutSecrets(value);
    if (Array.isArray(value)) return value.map(scrubbed);
    if (value === null || typeof value !== "object") return value;
    return Object.fromEntries(Object.entries(value).map(([key, entry]) => [withoutSecrets(key), scrubbed(entry)]));
}
