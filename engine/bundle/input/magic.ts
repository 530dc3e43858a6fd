/** What bytes are, by their beginning. Names are not looked at. Sources: RFC 1952, RFC 9580, POSIX pax, APPNOTE.TXT, pg_backup_archiver.c. */

/** What wraps other bytes: `tar` and `zip` only in what was recognised, as they hold several files. */
export type Layer = "gpg" | "gzip" | "zip" | "tar";

/** How many bytes {@link formatOf} wants to see; fewer only when there are no more. */
export const magicBytes = 1024;

/** What the first bytes of something say. */
export type Format =
    "gpg" | "gzip" | "zip" | "tar" | "custom-dump" | "sqlite" | "plain-dump" | UnsupportedFormat | "unknown";

/** Known and not read here, with the command that makes what is: `FILE` stands for its path. */
export const conversions = {
    xz: "xz --decompress --stdout FILE | gzip -1 > FILE.gz",
    bzip2: "bzip2 --decompress --stdout FILE | gzip -1 > FILE.gz",
    zstd: "zstd --decompress --stdout FILE | gzip -1 > FILE.gz",
    lz4: "lz4 --decompress --stdout FILE | gzip -1 > FILE.gz",
    lzip: "lzip --decompress --stdout FILE | gzip -1 > FILE.gz",
    compress: "uncompress -c FILE | gzip -1 > FILE.gz",
    "7z": "7z x FILE, then tar -czf FILE.tar.gz of what came out",
    rar: "unrar x FILE, then tar -czf FILE.tar.gz of what came out",
    age: "age --decrypt FILE > FILE.plain",
} as const;

export type UnsupportedFormat = keyof typeof conversions;

const unsupported: readonly (readonly [UnsupportedFormat, string])[] = [
    ["xz", "fd377a585a00"],
    ["zstd", "28b52ffd"],
    ["lz4", "04224d18"],
    ["7z", "377abcaf271c"],
    ["rar", "526172211a07"],
    ["lzip", "4c5a4950"],
    ["compress", "1f9d"],
    ["age", Buffer.from("age-encryption.org/").toString("hex")],
];

/** Tells what begins with these bytes. */
export function formatOf(head: Buffer): Format {
    if (head[0] === 0x1f && head[1] === 0x8b) return "gzip";
    if (isZip(head)) return "zip";
    if (head.subarray(0, 5).toString("latin1") === "PGDMP") return "custom-dump";
    if (head.subarray(0, 16).toString("latin1") === "SQLite format 3\0") return "sqlite";
    if (isTar(head)) return "tar";
    const other = unsupported.find(([, magic]) => head.subarray(0, magic.length / 2).toString("hex") === magic);
    if (other !== undefined) return other[0];
    if (/^425a683[1-9](314159265359|177245385090)/.test(head.subarray(0, 10).toString("hex"))) return "bzip2";
    if (isOpenPgp(head)) return "gpg";
    return isPlainDump(head) ? "plain-dump" : "unknown";
}

/** A local file header, the end record of an empty archive, or the marker of a split one. */
function isZip(head: Buffer): boolean {
    return ["504b0304", "504b0506", "504b0708"].includes(head.subarray(0, 4).toString("hex"));
}

/** By the checksum of the first header: version 7 archives have no magic, and the magic alone proves little. */
function isTar(head: Buffer): boolean {
    if (head.length < 512 || head[0] === 0) return false;
    let sum = 0;
    for (let at = 0; at < 512; at++) sum += at >= 148 && at < 156 ? 0x20 : (head[at] ?? 0);
    const stored = head.subarray(148, 156).toString("latin1").replaceAll("\0", " ").trim();
    return /^[0-7]+$/.test(stored) && parseInt(stored, 8) === sum;
}

/** RFC 9580 sections 4.2 and 10.3: the packets that a message can begin with. */
function isOpenPgp(head: Buffer): boolean {
    if (/^-----BEGIN PGP (SIGNED )?MESSAGE-----/.test(head.subarray(0, 64).toString("latin1").trimStart())) return true;
    const first = head[0];
    if (first === undefined || (first & 0x80) === 0) return false;
    const isNew = (first & 0x40) !== 0;
    const tag = isNew ? first & 0x3f : (first >> 2) & 0x0f;
    const version = head[1 + lengthBytes(head, first, isNew)];
    if (version === undefined) return false;
    if (tag === 1) return version === 3 || version === 6;
    if (tag === 3) return version >= 4 && version <= 6;
    if (tag === 2) return version >= 3 && version <= 6;
    if (tag === 4) return version === 3 || version === 6;
    if (tag === 8) return version <= 3;
    if (tag === 11) return [0x62, 0x74, 0x75].includes(version);
    if (tag === 18) return version === 1 || version === 2;
    return tag === 20 ? version === 1 : tag === 9;
}

function lengthBytes(head: Buffer, first: number, isNew: boolean): number {
    if (!isNew) return [1, 2, 4, 0][first & 3] ?? 0;
    const length = head[1] ?? 0;
    if (length === 255) return 5;
    return length >= 192 && length < 224 ? 2 : 1;
}

/** Also one that cannot be read as it is: its reader says what has happened to it. */
function isPlainDump(head: Buffer): boolean {
    if (utf16Text(head).includes("-- PostgreSQL database ")) return true;
    if (head.includes(0)) return false;
    const text = head.toString("utf8").replace(/^\uFEFF/, "");
    if (/^-- PostgreSQL database (cluster )?dump\s*$/m.test(text)) return true;
    return /^\s*(--|pg_dump(all)?: |\\restrict|(SET|BEGIN|START|CREATE|DROP|ALTER|COPY|INSERT|SELECT)\s)/i.test(text);
}

/** Empty where the bytes do not begin as PowerShell begins a file. */
function utf16Text(head: Buffer): string {
    const mark = head.toString("hex", 0, 2);
    if (mark !== "fffe" && mark !== "feff") return "";
    return new TextDecoder(mark === "fffe" ? "utf-16le" : "utf-16be").decode(head);
}
