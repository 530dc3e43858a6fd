import { expect } from "chai";
import fc from "fast-check";
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import {
    appendFile,
    chmod,
    chown,
    mkdir,
    mkdtemp,
    open,
    readdir,
    readFile,
    rename,
    rm,
    stat,
    symlink,
    writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { promisify } from "node:util";
import { FarConnection } from "../../../engine/machines/far/connection.ts";
import { pieceBytes } from "../../../engine/machines/far/farPour.ts";
import { localFiles } from "../../../engine/machines/local/localFiles.ts";
import type { MachineFiles, WalkedEntry } from "../../../engine/machines/machine.ts";
import { expectError } from "../../support/expectError.ts";
import { helperMachine, type HelperMachine } from "../../support/helperMachine.ts";

const nobody = 65_534;

describe("files of a machine that is far away", () => {
    let far: HelperMachine;
    let root: string;

    before(async () => {
        far = await helperMachine();
    });
    after(() => far.close());
    beforeEach(async () => {
        root = await mkdtemp(join(tmpdir(), "far-files-"));
    });
    afterEach(() => rm(root, { recursive: true }));

    /** What comes of it, the code of its error, or that of a system's own. */
    const outcome = async <T>(work: Promise<T>): Promise<{ value: T } | { code: unknown }> =>
        work.then(
            (value) => ({ value }),
            (error: unknown) => ({ code: error instanceof Error && "code" in error ? error.code : error }),
        );
    /** Does the same with both, and expects the same. */
    const alike = async <T>(work: (files: MachineFiles) => Promise<T>): Promise<{ value: T } | { code: unknown }> => {
        const [here, there] = [await outcome(work(localFiles)), await outcome(work(far.files))];
        expect(there).to.deep.equal(here);
        return there;
    };
    const walked = async (files: MachineFiles, top = "", enters?: RegExp): Promise<WalkedEntry[]> => {
        const found: WalkedEntry[] = [];
        for await (const entry of files.walk(root, top, { enters })) found.push(entry);
        return found;
    };
    const poured = async (files: MachineFiles, path: string) => {
        const chunks: Buffer[] = [];
        const facts = await files.pour(path, (chunk) => void chunks.push(Buffer.from(chunk)));
        return { ...facts, content: Buffer.concat(chunks).toString("base64") };
    };
    /** Everything that only reads, at one path. */
    const readAlike = async (path: string): Promise<void> => {
        await alike((files) => files.stat(path));
        await alike((files) => files.lstat(path));
        await alike((files) => files.realpath(path));
        await alike((files) => files.list(path));
        await alike((files) => files.readLink(path));
        await alike(async (files) => [...(await files.links(path))].sort());
        await alike((files) => files.read(path, { atMost: 5 }));
        await alike((files) => files.read(path, { atMost: 1000, followLinks: false }));
        await alike((files) => files.hash(path));
        await alike((files) => poured(files, path));
    };

    /** A name of any bytes that a name may have. */
    const name = fc
        .oneof(
            { arbitrary: fc.stringMatching(/^[A-Za-z0-9_\-.[\]:]{1,8}$/).map((text) => Buffer.from(text)), weight: 3 },
            fc
                .constantFrom("a\nb", "'", '"', "ä", "a'\"b", "\u{1f600}", "\ufffd", "x y", "$(id)", "\ufeffbom")
                .map((text) => Buffer.from(text)),
            fc.uint8Array({ minLength: 1, maxLength: 6 }).map((bytes) => Buffer.from(bytes)),
        )
        .filter(
            (bytes) => !bytes.includes(0) && !bytes.includes(0x2f) && ![".", ".."].includes(bytes.toString("latin1")),
        );
    type Tree = readonly {
        name: Buffer;
        kind: "file" | "directory" | "up" | "sibling" | "nowhere" | "itself" | "elsewhere" | "pipe";
        content: string;
        inside?: Tree;
    }[];
    const { tree } = fc.letrec<{ tree: Tree }>((tie) => ({
        tree: fc.array(
            fc.record(
                {
                    name,
                    kind: fc.constantFrom(
                        "file",
                        "file",
                        "directory",
                        "directory",
                        "up",
                        "sibling",
                        "nowhere",
                        "itself",
                        "elsewhere",
                    ),
                    content: fc.string({ maxLength: 10 }),
                    inside: fc.oneof({ depthSize: "small", withCrossShrink: true }, fc.constant([]), tie("tree")),
                },
                { requiredKeys: ["name", "kind", "content"] },
            ),
            { maxLength: 5 },
        ),
    }));
    const make = (directory: Buffer, entries: Tree): Buffer[] => {
        const places: Buffer[] = [];
        const seen = new Set<string>();
        for (const { name: own, kind, content, inside = [] } of entries) {
            if (seen.has(own.toString("latin1"))) continue;
            seen.add(own.toString("latin1"));
            const place = Buffer.concat([directory, Buffer.from("/"), own]);
            places.push(place);
            if (kind === "file") writeFileSync(place, content);
            else if (kind === "directory") {
                mkdirSync(place);
                places.push(...make(place, inside));
            } else {
                const sibling = entries[0]?.name ?? own;
                symlinkSync(
                    {
                        up: "..",
                        sibling,
                        nowhere: "gone",
                        itself: own,
                        elsewhere: "/usr/share/doc/base-files",
                        pipe: "",
                    }[kind],
                    place,
                );
            }
        }
        return places;
    };

    it("are told as those of this machine, whatever their names and wherever their links lead", async function () {
        this.timeout(120_000);
        await fc.assert(
            fc.asyncProperty(tree, async (entries) => {
                await rm(root, { recursive: true });
                await mkdir(join(root, "in"), { recursive: true });
                make(Buffer.from(join(root, "in")), entries);
                const here = await walked(localFiles);
                expect(await walked(far.files)).to.deep.equal(here);
                for (const { path } of here.slice(0, 12)) await readAlike(join(root, path));
            }),
            { numRuns: 150 },
        );
    });

    it("are entered below the names that are wanted alone", async () => {
        for (const path of ["a/b", "no way/c", "a/é/d"]) await mkdir(join(root, path), { recursive: true });
        await symlink("/", join(root, "out of the way"));
        const paths = async (files: MachineFiles) => (await walked(files, "", /[a-z]+/)).map(({ path }) => path);
        expect(await paths(far.files)).to.deep.equal(["", "a", "a/b", "a/é", "no way", "out of the way"]);
        expect(await paths(localFiles)).to.deep.equal(await paths(far.files));
    });

    it("are walked over in many answers, and given up in the midst of them", async () => {
        for (let n = 0; n < 5000; n++) writeFileSync(join(root, String(n)), "");
        expect(await walked(far.files)).to.deep.equal(await walked(localFiles));
        for await (const { path } of far.files.walk(root, "")) if (path !== "") break;
        const stopped = new AbortController();
        const walk = async (): Promise<void> => {
            for await (const { path } of far.files.walk(root, "", { signal: stopped.signal }))
                if (path !== "") stopped.abort(new Error("stopped"));
        };
        expect(await outcome(walk()))
            .to.have.property("code")
            .that.has.property("message", "stopped");
    });

    it("are walked over however deep they lie", async () => {
        let path = root;
        for (let depth = 0; depth < 1500; depth++) path += "/d";
        await mkdir(path, { recursive: true });
        expect(await walked(far.files)).to.deep.equal(await walked(localFiles));
        expect(await walked(far.files)).to.have.length(1501);
    });

    it("come whole, around the size of a piece, many at a time", async () => {
        const sizes = [0, 1, pieceBytes - 1, pieceBytes, pieceBytes + 1, 2 * pieceBytes, 9 * pieceBytes + 7];
        const content = Buffer.alloc(10 * pieceBytes, "0123456789abcdefg");
        for (const [n, size] of [...sizes, ...sizes].entries())
            await writeFile(join(root, String(n)), content.subarray(n, n + size));
        const all = await Promise.all([...sizes, ...sizes].map((_, n) => poured(far.files, join(root, String(n)))));
        for (const [n, one] of all.entries()) {
            expect(one).to.deep.equal(await poured(localFiles, join(root, String(n))));
            await alike((files) => files.hash(join(root, String(n))));
        }
    });

    it("are told to have changed when they grow, or are exchanged, between two pieces", async () => {
        const path = join(root, "file");
        for (const change of [
            () => appendFile(path, "more"),
            async () => {
                await writeFile(`${path}.other`, Buffer.alloc(20 * pieceBytes));
                await rename(`${path}.other`, path);
            },
        ]) {
            await writeFile(path, Buffer.alloc(20 * pieceBytes));
            let changed: Promise<void> | undefined;
            const { before, after } = await far.files.pour(path, () => (changed ??= change()));
            expect(after).not.to.deep.equal(before);
        }
    });

    it("are let alone when it is to end", async () => {
        await writeFile(join(root, "file"), Buffer.alloc(8 * pieceBytes));
        const stopped = new AbortController();
        let chunks = 0;
        const work = far.files.pour(
            join(root, "file"),
            () => {
                chunks++;
                stopped.abort(new Error("stopped"));
            },
            stopped.signal,
        );
        expect(await outcome(work))
            .to.have.property("code")
            .that.has.property("message", "stopped");
        expect(chunks).to.equal(1);
    });

    it("are no files where they are pipes, which nobody waits for", async () => {
        await promisify(execFile)("mkfifo", [join(root, "pipe")]);
        await readAlike(join(root, "pipe"));
        expect(await alike((files) => files.hash(join(root, "pipe")))).to.deep.equal({ code: "ENXIO" });
    });

    it("have the times of change that the file system has, to the nanosecond", async () => {
        await writeFile(join(root, "file"), "x");
        const { mtimeNs } = await stat(join(root, "file"), { bigint: true });
        expect((await far.files.stat(join(root, "file")))?.mtime).to.equal(String(mtimeNs));
    });

    it("are told with the system's code where they may not be looked at", async function () {
        if (process.geteuid?.() !== 0) this.skip();
        await chmod(root, 0o755);
        for (const path of ["closed/in", "listed/in"]) await mkdir(join(root, path), { recursive: true });
        await writeFile(join(root, "secret"), "x", { mode: 0o600 });
        chmodSync(join(root, "closed"), 0);
        chmodSync(join(root, "listed"), 0o744);
        const theirs = await helperMachine({ uid: nobody });
        try {
            const there = await walked(theirs.files);
            process.seteuid?.(nobody);
            const here = await walked(localFiles).finally(() => process.seteuid?.(0));
            expect(there).to.deep.equal(here);
            expect(
                there.filter(({ error }) => error !== undefined).map(({ path, error }) => `${path} ${error}`),
            ).to.deep.equal(["closed EACCES", "listed/in EACCES"]);
            for (const path of ["secret", "closed", "closed/in"])
                expect(await outcome(theirs.files.hash(join(root, path)))).to.deep.equal({ code: "EACCES" });
            expect(await outcome(theirs.files.stat(join(root, "closed/in")))).to.deep.equal({ code: "EACCES" });
        } finally {
            await theirs.close();
        }
    });

    it("have their names whatever the language of the login is", async () => {
        writeFileSync(join(root, "Grüße"), "");
        writeFileSync(Buffer.concat([Buffer.from(`${root}/`), Buffer.from([0xe4, 0x2e])]), "");
        for (const language of ["C", "POSIX", "de_DE.ISO-8859-1"]) {
            const theirs = await helperMachine({
                environment: { LC_ALL: language, PYTHONCOERCECLOCALE: "0", PYTHONUTF8: "0" },
            });
            try {
                expect(await walked(theirs.files)).to.deep.equal(await walked(localFiles));
                expect(await theirs.files.list(root)).to.deep.equal(["Grüße", "\udce4."]);
            } finally {
                await theirs.close();
            }
        }
    });

    for (const [where, files] of [
        ["far away", () => far.files],
        ["here", () => localFiles],
    ] as const)
        describe(`that are written, ${where},`, () => {
            const facts = async (path: string) => {
                const { mode, uid, gid } = await stat(path);
                return { mode: mode & 0o7777, uid, gid };
            };

            it("are new with mode 0600, and keep the mode that they have", async () => {
                const path = join(root, "it's \n new");
                await files().write(path, "one");
                expect(await facts(path)).to.include({ mode: 0o600 });
                await chmod(path, 0o644);
                await files().write(path, Buffer.alloc(3_000_000, "x"));
                expect(await facts(path)).to.include({ mode: 0o644 });
                expect(await readFile(path, "utf8")).to.equal("x".repeat(3_000_000));
                await files().write(path, "", { mode: 0o640 });
                expect(await facts(path)).to.include({ mode: 0o640 });
                expect(await readdir(root)).to.have.length(1);
            });

            it("keep their owner, or get the one that is given", async function () {
                if (process.geteuid?.() !== 0) this.skip();
                const path = join(root, "file");
                await writeFile(path, "old");
                await chown(path, nobody, 12);
                await files().write(path, "new");
                expect(await facts(path)).to.include({ uid: nobody, gid: 12 });
                await files().write(path, "newer", { owner: { uid: 1, gid: 2 } });
                expect(await facts(path)).to.include({ uid: 1, gid: 2 });
            });

            it("are the old ones until they are the new ones, and leave nothing beside them", async () => {
                const path = join(root, "file");
                await writeFile(path, "old");
                const before = await open(path);
                await Promise.all(["one", "two", "three"].map((text) => files().write(path, text)));
                expect(await before.readFile("utf8")).to.equal("old");
                await before.close();
                await mkdir(join(root, "directory"));
                expect(await outcome(files().write(join(root, "directory"), "x"))).to.have.property("code");
                expect(await outcome(files().write(join(root, "gone/file"), "x"))).to.deep.equal({ code: "ENOENT" });
                await writeFile(join(root, "file.1-1-0.partial"), "of a writer that is gone");
                await writeFile(join(root, "file.txt"), "of nobody's writer");
                await files().write(path, "last");
                expect((await readdir(root)).sort()).to.deep.equal(["directory", "file", "file.txt"]);
            });

            it("are removed, and so are empty directories and links themselves", async () => {
                await writeFile(join(root, "file"), "x");
                await mkdir(join(root, "directory/full"), { recursive: true });
                await symlink("file", join(root, "link"));
                for (const path of ["link", "gone", "file", "gone/gone"]) await files().remove(join(root, path));
                expect(await outcome(files().remove(join(root, "directory")))).to.deep.equal({ code: "ENOTEMPTY" });
                await files().remove(join(root, "directory/full"));
                expect(await readdir(root)).to.deep.equal(["directory"]);
            });
        });
});

describe("the connection to a machine's helper", () => {
    it("ends for all who wait when the other side dies in the midst of an answer (SM-E1401)", async () => {
        const cut = new PassThrough();
        let isAnswering = (): void => undefined;
        const answering = new Promise<void>((resolve) => (isAnswering = resolve));
        const far = await helperMachine({
            through: (answers) => {
                answers.on("data", (chunk: Buffer) => {
                    cut.write(chunk.subarray(0, 1000));
                    if (chunk.length > 1000) isAnswering();
                });
                return cut;
            },
        });
        const read = far.files.read(process.execPath, { atMost: 1_000_000 });
        await answering;
        far.process.kill("SIGKILL");
        await expectError("SM-E1401", () => read);
        await expectError("SM-E1401", () => far.files.stat("/"));
        await expectError("SM-E1401", async () => far.files.pour("/etc/passwd", () => undefined));
        await expectError("SM-E1401", async () => {
            for await (const entry of far.files.walk("/etc", "")) expect(entry).to.equal(undefined);
        });
    });

    const garbled: readonly (readonly [string, Buffer])[] = [
        ["a greeting", Buffer.from("Welcome to old.example.org\n")],
        ["lengths and no JSON", Buffer.from([0, 0, 0, 3, 0, 0, 0, 0, 0x61, 0x62, 0x63])],
        ["JSON that is no answer", Buffer.concat([Buffer.from([0, 0, 0, 2, 0, 0, 0, 0]), Buffer.from("[]")])],
    ];
    for (const [what, bytes] of garbled)
        it(`refuses ${what} in the place of an answer with SM-E1440`, async () => {
            const output = new PassThrough();
            const connection = new FarConnection(new PassThrough(), output, "far.example.org");
            const asked = connection.ask("hello");
            output.write(bytes);
            expect((await expectError("SM-E1440", () => asked)).detail.where).to.equal("far.example.org");
            // Whatever comes after it is not read any more.
            output.write(bytes);
            await expectError("SM-E1440", () => connection.ask("hello"));
        });

    it("tells a request that the helper does not know as an error of its own (SM-E1441), and goes on", async () => {
        const far = await helperMachine();
        try {
            await expectError("SM-E1441", () => far.connection.ask("dance"));
            await expectError("SM-E1441", () => far.connection.ask("stat", { paths: 1 }));
            expect(await far.files.stat("/")).to.include({ kind: "directory" });
        } finally {
            await far.close();
        }
    });

    it("puts answers together however their bytes come in", async () => {
        await fc.assert(
            fc.asyncProperty(
                fc.array(fc.uint8Array({ maxLength: 40 }), { minLength: 1, maxLength: 6 }),
                fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1 }),
                async (contents, sizes) => {
                    const output = new PassThrough();
                    const connection = new FarConnection(new PassThrough(), output, "far.example.org");
                    const asked = contents.map(() => connection.ask("x"));
                    const frames = contents.map((data, at) => {
                        const header = Buffer.from(JSON.stringify({ id: at + 1, value: at }));
                        const lengths = Buffer.alloc(8);
                        lengths.writeUInt32BE(header.length, 0);
                        lengths.writeUInt32BE(data.length, 4);
                        return Buffer.concat([lengths, header, data]);
                    });
                    const bytes = Buffer.concat(frames);
                    for (let at = 0, n = 0; at < bytes.length; n++) {
                        const size = sizes[n % sizes.length] ?? 1;
                        output.write(bytes.subarray(at, at + size));
                        at += size;
                    }
                    for (const [at, data] of contents.entries()) {
                        const answer = await asked[at];
                        expect(answer?.value).to.equal(at);
                        expect(Buffer.concat(answer?.parts ?? []).equals(data)).to.equal(true);
                    }
                },
            ),
        );
    });

    it("hands out nothing of a file that differs from what is hashed there", async () => {
        const far = await helperMachine();
        try {
            const hash = createHash("sha256");
            await far.files.pour(process.execPath, (chunk) => void hash.update(chunk));
            expect((await far.files.hash(process.execPath)).sha256).to.equal(hash.digest("hex"));
        } finally {
            await far.close();
        }
    });
});
