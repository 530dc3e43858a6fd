/** Archives that no honest program makes: built by hand, byte by byte. */
import { crc32, deflateRawSync } from "node:zlib";

export interface TarMember {
    readonly name: string;
    readonly content?: Buffer | string;
    /** Type flag: `0` file, `1` hard link, `2` symbolic link, `3` and `4` devices, `5` directory, `6` pipe, `S` sparse, `x` pax. */
    readonly type?: string;
    readonly link?: string;
    readonly mode?: number;
    /** Instead of the content's. */
    readonly size?: number;
}

/** A tar archive of these members, with its end. */
export function tarOf(...members: readonly TarMember[]): Buffer {
    return Buffer.concat([...members.map(tarMember), Buffer.alloc(1024)]);
}

export function tarMember({ name, content = "", type = "0", link = "", mode = 0o644, size }: TarMember): Buffer {
    const body = Buffer.from(content);
    const header = Buffer.alloc(512);
    header.write(name, 0, 100);
    header.write(octal(mode, 7), 100);
    header.write(octal(0, 7), 108);
    header.write(octal(0, 7), 116);
    header.write(octal(size ?? body.length, 11), 124);
    header.write(octal(0, 11), 136);
    header.write(" ".repeat(8), 148);
    header.write(type, 156);
    header.write(link, 157, 100);
    header.write("ustar\x0000", 257, "latin1");
    header.write(
        octal(
            header.reduce((sum, byte) => sum + byte, 0),
            6,
        ) + "\0 ",
        148,
        "latin1",
    );
    return Buffer.concat([header, body, Buffer.alloc((512 - (body.length % 512)) % 512)]);
}

/** A pax record that overrides a header's fields. */
export function pax(fields: Readonly<Record<string, string>>): TarMember {
    const records = Object.entries(fields).map(([key, value]) => {
        const rest = Buffer.byteLength(` ${key}=${value}\n`);
        let length = rest + 1;
        while (String(length).length + rest !== length) length = String(length).length + rest;
        return `${length} ${key}=${value}\n`;
    });
    return { name: "PaxHeader", type: "x", content: records.join("") };
}

const octal = (value: number, digits: number): string => value.toString(8).padStart(digits, "0");

export interface ZipMember {
    readonly name: string | Buffer;
    readonly content?: Buffer | string;
    readonly flags?: number;
    /** Unix mode with file type. */
    readonly mode?: number;
    readonly method?: number;
    /** Instead of the content's. */
    readonly size?: number;
    readonly crc?: number;
    readonly localName?: string;
}

/** A zip archive of these members. */
export function zipOf(...members: readonly ZipMember[]): Buffer {
    const locals: Buffer[] = [];
    const directory: Buffer[] = [];
    let offset = 0;
    for (const member of members) {
        const { flags = 0x800, mode = 0o100644, method = 8 } = member;
        const content = Buffer.from(member.content ?? "");
        const name = Buffer.from(member.name);
        const data = method === 8 ? deflateRawSync(content) : content;
        const facts = Buffer.alloc(26);
        facts.writeUInt16LE(20, 0);
        facts.writeUInt16LE(flags, 2);
        facts.writeUInt16LE(method, 4);
        facts.writeUInt32LE(member.crc ?? crc32(content), 10);
        facts.writeUInt32LE(data.length, 14);
        facts.writeUInt32LE(member.size ?? content.length, 18);
        facts.writeUInt16LE(name.length, 22);
        const central = Buffer.alloc(14);
        central.writeUInt32LE((mode << 16) >>> 0, 6);
        central.writeUInt32LE(offset, 10);
        const localName = Buffer.from(member.localName ?? name);
        const local = Buffer.concat([Buffer.from("504b0304", "hex"), facts, localName, data]);
        local.writeUInt16LE(localName.length, 26);
        locals.push(local);
        directory.push(Buffer.concat([Buffer.from("504b01021e03", "hex"), facts, central, name]));
        offset += local.length;
    }
    const central = Buffer.concat(directory);
    const end = Buffer.alloc(22);
    end.write("504b0506", "hex");
    end.writeUInt16LE(members.length, 8);
    end.writeUInt16LE(members.length, 10);
    end.writeUInt32LE(central.length, 12);
    end.writeUInt32LE(offset, 16);
    return Buffer.concat([...locals, central, end]);
}
