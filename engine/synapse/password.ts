/** Proves a pepper without a server: one known password against its hash. */
import { compare } from "bcryptjs";

/** `cannot-prove`: bcrypt sees 72 bytes, and password and pepper together are longer, so a part of the pepper was not looked at. */
export type PepperProof = "proven" | "wrong" | "cannot-prove";

const bcryptBytes = 72;

/**
 * Checks a password against `users.password_hash` as Synapse does (synapse/handlers/auth.py, validate_hash): bcrypt over the
 * first 72 bytes of NFKC(password) and pepper.
 *
 * `wrong` means that password or pepper is wrong, also where the pepper is not fully covered; `proven` needs all of it covered.
 *
 * @param pepper  undefined and empty are the same to Synapse here
 */
export async function provePepper(password: string, pepper: string | undefined, hash: string): Promise<PepperProof> {
    const salted = Buffer.from(password.normalize("NFKC") + (pepper ?? ""), "utf8");
    // bcryptjs takes text only, and a cut inside a character would change its bytes; it cuts at 72 bytes itself.
    if (!(await compare(salted.toString("utf8"), hash))) return "wrong";
    return salted.length > bcryptBytes ? "cannot-prove" : "proven";
}

/** Whether bcrypt sees the whole pepper behind this password, so that a login with it proves the pepper. */
export function coversPepper(password: string, pepper: string): boolean {
    return Buffer.byteLength(password.normalize("NFKC") + pepper, "utf8") <= bcryptBytes;
}
