/** A role's password as PostgreSQL stores it, so that the password itself is in no statement and in no server log. */
import { createHash, createHmac, pbkdf2Sync, randomBytes } from "node:crypto";

/** What the server itself uses (src/include/common/scram-common.h). */
const iterations = 4096;

/** `SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>` (RFC 5803), for ASCII passwords, which SASLprep leaves as they are. */
export function scramVerifier(password: string, salt: Buffer = randomBytes(16)): string {
    const salted = pbkdf2Sync(password, salt, iterations, 32, "sha256");
    const hmac = (text: string): Buffer => createHmac("sha256", salted).update(text).digest();
    const storedKey = createHash("sha256").update(hmac("Client Key")).digest("base64");
    return `SCRAM-SHA-256$${iterations}:${salt.toString("base64")}$${storedKey}:${hmac("Server Key").toString("base64")}`;
}
