/** Takes the ASCII armor off an OpenPGP message; openpgp.js does not end when what is in it cannot be decrypted. */
import { MigrationError } from "../../run/errors.ts";
import type { ByteReader, Bytes } from "../streams/byteReader.ts";

const armorHeader = "-----BEGIN PGP";

/** Whether what begins with these bytes is armored. */
export const isArmor = (bytes: Buffer): boolean =>
    bytes.subarray(0, armorHeader.length).toString("latin1") === armorHeader;

/** The binary form of a message, armored or not. */
export async function unarmored(reader: ByteReader, where: string): Promise<Bytes> {
    return isArmor(await reader.peek(armorHeader.length)) ? withoutArmor(reader.rest(), where) : reader.rest();
}

/**
 * The bytes of an armored message (RFC 9580 section 6). Its CRC-24 is not looked at: what is inside is authenticated.
 *
 * @throws MigrationError SM-E0925 when its last line is missing, SM-E0924 when something is behind it
 */
async function* withoutArmor(input: Bytes, where: string): AsyncGenerator<Buffer, void> {
    let isInBody = false;
    let isOver = false;
    let held = "";
    for await (const line of lines(input)) {
        if (isOver && line !== "")
            throw new MigrationError("SM-E0924", {
                where,
                found: "something behind its last line",
                expected: "nothing",
            });
        if (line.startsWith("-----END PGP")) {
            if (held !== "") yield Buffer.from(held, "base64");
            isOver = true;
        }
        if (isOver) continue;
        if (!isInBody) isInBody = line === "";
        else if (!line.startsWith("=")) {
            held += line;
            const whole = held.length - (held.length % 4);
            if (whole < 64 * 1024) continue;
            yield Buffer.from(held.slice(0, whole), "base64");
            held = held.slice(whole);
        }
    }
    if (isOver) return;
    throw new MigrationError("SM-E0925", {
        where,
        found: "its last line, -----END PGP, is missing",
        expected: "the whole file",
    });
}

async function* lines(input: Bytes): AsyncGenerator<string, void> {
    let rest = "";
    for await (const chunk of input) {
        const parts = (rest + chunk.toString("latin1")).split("\n");
        rest = parts.pop() ?? "";
        for (const part of parts) yield part.trimEnd();
    }
    yield rest.trimEnd();
}
