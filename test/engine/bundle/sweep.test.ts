/** Cuts each kind of artefact at every 64th, and flips a bit in every 64th: which layer finds it. */
import { expect } from "chai";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { extractArchive } from "../../../engine/bundle/archives/extract.ts";
import { openLayers } from "../../../engine/bundle/input/open.ts";
import { MigrationError } from "../../../engine/run/errors.ts";
import { collect, gpgSymmetric, passphrase, run, sampleDump, withDirectory } from "./fixtures.ts";

const steps = 64;
const dump = Buffer.from(sampleDump(800));

interface Artefact {
    readonly name: string;
    readonly make: (directory: string) => Buffer;
    /** The codes that may find damage; the first digits of a family. */
    readonly found: RegExp;
    /** Flips that its format cannot notice. */
    readonly blind?: (at: number, artefact: Buffer) => boolean;
}

const members = ["a", "b", "c"];
const packed = (directory: string, program: string, args: readonly string[]): Buffer => {
    const script = members.map((name) => `head -c 5000 /dev/urandom > ${name}`).join("; ");
    run("sh", ["-c", script], { cwd: directory });
    return run(program, [...args, ...members], { cwd: directory });
};
const tar = (directory: string): Buffer => packed(directory, "tar", ["--format=ustar", "-b1", "-cf", "-"]);
const gzip = (data: Buffer): Buffer => run("gzip", ["-n"], { input: data });
/** Of RFC 1952's ten bytes: time, speed and system, which no checksum covers and which change nothing. */
const gzipHeader = (at: number): boolean => at >= 4 && at < 10;

const artefacts: Artefact[] = [
    { name: "sql.gz", make: () => gzip(dump), found: /E0910|unrecognised/, blind: gzipHeader },
    { name: "sql.gz.gpg", make: (directory) => gpgSymmetric(gzip(dump), directory), found: /E092\d|unrecognised/ },
    { name: "sql.gpg", make: (directory) => gpgSymmetric(dump, directory, "-z0"), found: /E092\d|unrecognised/ },
    { name: "tar.gz", make: (directory) => gzip(tar(directory)), found: /E0910|E095\d/, blind: gzipHeader },
    { name: "tar.gz.gpg", make: (directory) => gpgSymmetric(gzip(tar(directory)), directory), found: /E092\d|E0958/ },
    {
        name: "tar",
        make: tar,
        found: /E095\d/,
        // Tar has checksums of its headers only, each the first of the eleven blocks of its member.
        blind: (at) => at < 3 * 11 * 512 && Math.floor(at / 512) % 11 !== 0,
    },
    {
        name: "zip",
        make: (directory) => packed(directory, "zip", ["-qX", "-"]),
        found: /E094\d|E095\d/,
        blind: zipBlindSpots,
    },
];

/**
 * What no checksum of zip covers: in the headers versions, times and attributes of no consequence, and everything in the local headers and data
 * descriptors that the central directory says again.
 */
function zipBlindSpots(at: number, artefact: Buffer): boolean {
    const central = artefact.indexOf("504b0102", 0, "hex");
    const end = artefact.indexOf("504b0506", central, "hex");
    if (at >= end) return [4, 5, 6, 7, 8, 9, 12, 13, 14, 15].includes(at - end);
    if (at >= central) {
        const begin = artefact.lastIndexOf("504b0102", at, "hex");
        return ![0, 1, 2, 3, 10, 11, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 42, 43, 44, 45, 46].includes(
            at - begin,
        );
    }
    const begin = artefact.lastIndexOf("504b0304", at, "hex");
    const descriptor = artefact.indexOf("504b0708", begin, "hex");
    return (
        (at - begin < 30 && at - begin >= 4) ||
        (descriptor >= 0 && descriptor < central && at >= descriptor && at < descriptor + 16)
    );
}

/** The code that refused it; `unrecognised` where it was read as plain data of another kind; undefined when nothing was noticed. */
async function finder(
    directory: string,
    artefact: Buffer,
    isArchive: boolean,
    content: Buffer,
): Promise<string | undefined> {
    const work = await mkdtemp(join(directory, "try-"));
    const path = join(work, "artefact");
    await writeFile(path, artefact);
    try {
        if (isArchive) {
            const destination = join(work, "out");
            await extractArchive([path], { destination, workDirectory: work, passphrase });
            for (const name of members) {
                const bytes = await readFile(join(destination, name)).catch(() => Buffer.alloc(0));
                if (!bytes.equals(await readFile(join(directory, name)))) return undefined;
            }
            return "unharmed";
        }
        const { stream, finished } = openLayers([path], { workDirectory: work, passphrase });
        const bytes = await collect(stream);
        const { layers } = await finished;
        return bytes.equals(content) ? "unharmed" : layers.length === 0 ? "unrecognised" : undefined;
    } catch (error) {
        if (!(error instanceof MigrationError)) throw error;
        expect(await readdir(work), "nothing came out").not.to.include("out");
        return error.code;
    } finally {
        await rm(work, { recursive: true, force: true });
    }
}

describe("damage to bundles", () => {
    for (const { name, make, found, blind } of artefacts) {
        const isArchive = !name.startsWith("sql");

        it(`finds ${name} cut at each of ${steps} places`, () =>
            withDirectory(async (directory) => {
                const whole = make(directory);
                for (let step = 1; step < steps; step++) {
                    const cut = whole.subarray(0, Math.floor((whole.length * step) / steps));
                    expect(await finder(directory, cut, isArchive, dump), `cut at ${cut.length}`).to.match(found);
                }
                for (const missing of [1, 2, 3, 8])
                    expect(await finder(directory, whole.subarray(0, -missing), isArchive, dump)).to.match(found);
            }));

        it(`finds a bit flipped in each 64th of ${name}${blind === undefined ? "" : ", but where its format has no checksum"}`, () =>
            withDirectory(async (directory) => {
                const whole = make(directory);
                let blindFlips = 0;
                const places = Array.from({ length: steps }, (_, step) =>
                    Math.floor((whole.length * (step + 0.5)) / steps),
                );
                for (const at of [...places, 0, 1, 2, 3, whole.length - 1]) {
                    const flipped = Buffer.from(whole);
                    flipped.writeUInt8(flipped.readUInt8(at) ^ (1 << (at % 8)), at);
                    const by = await finder(directory, flipped, isArchive, dump);
                    if (blind?.(at, whole) === true) blindFlips++;
                    else
                        expect(by, `flipped at ${at} of ${whole.length}`).to.match(
                            new RegExp(`${found.source}|unharmed`),
                        );
                }
                expect(blindFlips, "most of it is covered").to.be.lessThan(name === "tar" ? places.length : 12);
            }));
    }
});
