/** Says what a request to a bucket failed with, in documented errors. Of the SDK's errors only names and numbers are told: their texts and headers may hold keys. */
import { MigrationError } from "../../run/errors.ts";
import type { ErrorCode } from "../../run/errorCatalogue.ts";

/** Names of S3's errors (Amazon S3 API Reference, "Error responses") and of the SDK's own. */
const known: readonly (readonly [ErrorCode, ReadonlySet<string>])[] = [
    ["SM-E0991", new Set(["NoSuchBucket", "PermanentRedirect", "AuthorizationHeaderMalformed", "InvalidBucketName"])],
    [
        "SM-E0992",
        new Set([
            "InvalidAccessKeyId",
            "SignatureDoesNotMatch",
            "ExpiredToken",
            "InvalidToken",
            "InvalidSecurity",
            "RequestTimeTooSkewed",
            "CredentialsProviderError",
            "TokenProviderError",
        ]),
    ],
    ["SM-E0993", new Set(["AccessDenied", "AllAccessDisabled", "AccountProblem", "Forbidden"])],
];

/**
 * @param where  the bucket, and what was asked of it
 * @returns SM-E0990 to SM-E0993; the error itself when it is documented already
 */
export function bucketError(error: unknown, where: string): MigrationError {
    if (error instanceof MigrationError) return error;
    const { name, status, code } = factsOf(error);
    const byName = known.find(([, names]) => names.has(name))?.[0];
    const documented = byName ?? (status === 403 ? "SM-E0993" : "SM-E0990");
    const answer = status === undefined ? (code ?? name) : `${name} (HTTP ${status})`;
    // Neither the error nor its text: both may hold what was signed, and how.
    return new MigrationError(documented, { where, found: answer });
}

/** Whether the object is not there, while its bucket is. */
export function isNoSuchObject(error: unknown): boolean {
    const { name, status } = factsOf(error);
    return name === "NoSuchKey" || (name === "NotFound" && status === 404);
}

function factsOf(error: unknown): { name: string; status: number | undefined; code: string | undefined } {
    if (!(error instanceof Error)) return { name: "unknown error", status: undefined, code: undefined };
    const metadata: unknown = "$metadata" in error ? error.$metadata : undefined;
    const status: unknown =
        typeof metadata === "object" && metadata !== null ? Reflect.get(metadata, "httpStatusCode") : undefined;
    return {
        name: plain(error.name),
        status: typeof status === "number" ? status : undefined,
        code: "code" in error && typeof error.code === "string" ? plain(error.code) : undefined,
    };
}

/** A server may call its error whatever it likes. */
function plain(text: string): string {
    return /^[A-Za-z][A-Za-z0-9_.]{0,63}$/.test(text) ? text : "unknown error";
}
