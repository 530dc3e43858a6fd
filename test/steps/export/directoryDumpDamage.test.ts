/** Archives of a bundle's database that were damaged, or that are not those of their manifest. */
import { expect } from "chai";
import { copyFile, readFile, rename, rm, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { DirectoryDatabase } from "../../../engine/bundle/write/bundleManifest.ts";
import { readDirectoryDump } from "../../../engine/bundle/dump/directoryDump/read.ts";
import type { ErrorCode } from "../../../engine/run/errorCatalogue.ts";
import { expectError } from "../../support/expectError.ts";
import { DirectoryBundles, type Bundle } from "./directoryBundles.ts";

describe("a damaged database of a bundle in directory format", function () {
    this.timeout(120_000);
    let bundles: DirectoryBundles;
    let bundle: Bundle;

    before(async function () {
        this.timeout(180_000);
        bundles = await DirectoryBundles.create();
        bundle = await bundles.make();
    });

    const [first, second] = ["customer_db_export.dir-1.tar.gpg", "customer_db_export.dir-2.tar.gpg"];
    const damages: readonly (readonly [string, (directory: string) => Promise<unknown>, ErrorCode, RegExp])[] = [
        ["an archive that is missing", (at) => rm(join(at, second)), "SM-E0906", /dir-2\.tar\.gpg is missing/],
        [
            "an archive too many",
            (at) => copyFile(join(at, first), join(at, "customer_db_export.dir-9.tar.gpg")),
            "SM-E0906",
            /dir-9\.tar\.gpg is not of this dump/,
        ],
        ["an archive that is cut", (at) => truncate(join(at, first), 4000), "SM-E0906", /has 4000 bytes and not \d+/],
        [
            "archives that were swapped",
            async (at) => {
                await rename(join(at, first), join(at, "x"));
                await rename(join(at, second), join(at, first));
                await rename(join(at, "x"), join(at, second));
            },
            "SM-E0906",
            /has \d+ bytes and not \d+/,
        ],
        ["a bit that flipped in the middle", (at) => flipBit(join(at, first), 1 / 2), "SM-E0924", /./],
        [
            "a manifest that was edited",
            (at) => edit(join(at, "manifest.json"), /"rows": \d{4}/, '"rows": 1'),
            "SM-E0932",
            /manifest\.json/,
        ],
        [
            "a manifest of another version",
            async (at) => {
                await rm(join(at, "SHA256SUMS"));
                await edit(join(at, "manifest.json"), /bundle-1"/, 'bundle-2"');
            },
            "SM-E0911",
            /bundle-1/,
        ],
    ];
    for (const [title, damage, code, found] of damages) {
        it(`refuses ${title} before anything is loaded`, async () => {
            const directory = await bundles.copyOf(bundle.directory);
            await damage(directory);
            expect((await expectError(code, () => bundles.open(directory))).message).to.match(found);
        });
    }

    it("names gpg for a bit that flipped, wherever in the message the rows are that it is seen in first", async () => {
        for (let sixteenth = 2; sixteenth < 16; sixteenth++) {
            const directory = await bundles.copyOf(bundle.directory);
            await flipBit(join(directory, first), sixteenth / 16);
            await expectError("SM-E0924", () => bundles.open(directory));
        }
    });

    it("refuses archives of another bundle with the same passphrase, whatever their size", async () => {
        const directory = await bundles.copyOf(bundle.directory);
        const other = await bundles.make();
        const [mine] = bundle.database.artefacts;
        const [theirs] = other.database.artefacts;
        if (mine === undefined || theirs === undefined) throw new Error("a bundle without archives");
        await copyFile(join(other.directory, theirs.name), join(directory, mine.name));
        // As if it was as long, which a dump of the same database may well be.
        const artefacts = bundle.database.artefacts.map(({ files, ...artefact }) => ({
            ...artefact,
            files: files.map((file) => (artefact.name === mine.name ? { ...file, bytes: theirs.bytes } : file)),
        }));
        const options = await bundles.readOptions(directory);
        await expectError("SM-E0906", () => readDirectoryDump({ ...bundle.database, artefacts }, options));
    });

    const disagreements: readonly (readonly [
        string,
        (section: DirectoryDatabase) => Partial<DirectoryDatabase>,
        RegExp,
    ])[] = [
        [
            "lack a member",
            ({ members }) => ({ members: [...members, { name: "1.dat", bytes: 3, table: null }] }),
            /1 members are missing, as 1\.dat/,
        ],
        ["have one too many", ({ members }) => ({ members: members.slice(1) }), /is not of this dump, or there twice/],
        [
            "have one that is shorter",
            ({ members }) => ({ members: members.map((member) => ({ ...member, bytes: member.bytes + 1 })) }),
            /\d+ bytes and not \d+/,
        ],
        [
            "have one that is longer",
            ({ members }) => ({ members: members.map((member) => ({ ...member, bytes: member.bytes - 1 })) }),
            /more than \d+ bytes/,
        ],
        [
            "have other rows",
            ({ tables }) => ({ tables: tables.map((table) => ({ ...table, digest: "0".repeat(32) })) }),
            /not the ones that were written/,
        ],
        [
            "have the rows of one table in the place of another's",
            ({ members }) => ({
                members: members.map((member) => ({
                    ...member,
                    table:
                        member.table === "public.users"
                            ? "public.events"
                            : member.table === "public.events"
                              ? "public.users"
                              : member.table,
                })),
            }),
            /rows of public\.(users|events)/,
        ],
    ];
    for (const [title, change, found] of disagreements) {
        it(`refuses archives that ${title}, though gpg finds nothing wrong`, async () => {
            const section = { ...bundle.database, ...change(bundle.database) };
            const options = await bundles.readOptions(bundle.directory);
            expect((await expectError("SM-E0906", () => readDirectoryDump(section, options))).message).to.match(found);
        });
    }
});

async function edit(path: string, text: RegExp, replacement: string): Promise<void> {
    const [before, after] = [await readFile(path, "utf8"), (await readFile(path, "utf8")).replace(text, replacement)];
    if (before === after) throw new Error(`${path} has nothing like ${String(text)}`);
    await writeFile(path, after);
}

async function flipBit(path: string, share: number): Promise<void> {
    const bytes = await readFile(path);
    const at = Math.floor(bytes.length * share);
    bytes[at] = (bytes[at] ?? 0) ^ 1;
    await writeFile(path, bytes);
}
