/** Names of files as text, whatever bytes they have: one that is no UTF-8 stands as the lone surrogate that Python makes of it (PEP 383). */

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const replacement = "\ufffd";
/** Of the bytes 0x80 to 0xff. */
const lone = /[\udc80-\udcff]/u;
const firstLone = 0xdc00;

export function nameOf(bytes: Buffer): string {
    const text = bytes.toString("utf8");
    // What is no UTF-8 becomes this character, which a name may have itself.
    if (!text.includes(replacement)) return text;
    let name = "";
    for (let at = 0; at < bytes.length;) {
        const character = characterAt(bytes, at);
        name += character ?? String.fromCharCode(firstLone + (bytes[at] ?? 0));
        at += character === undefined ? 1 : Buffer.byteLength(character);
    }
    return name;
}

/** The path for Node's functions: text where that says it, bytes where it does not. */
export function pathOf(name: string): string | Buffer {
    if (!lone.test(name)) return name;
    const parts = Array.from(name, (character) =>
        lone.test(character) ? Buffer.from([character.charCodeAt(0) - firstLone]) : Buffer.from(character, "utf8"),
    );
    return Buffer.concat(parts);
}

function characterAt(bytes: Buffer, at: number): string | undefined {
    for (const length of [1, 2, 3, 4])
        try {
            return utf8.decode(bytes.subarray(at, Math.min(at + length, bytes.length)));
        } catch {
            // Not whole yet, or none.
        }
    return undefined;
}
