import { expect } from "chai";
import { execFile } from "node:child_process";
import { chmod, chown, lchown, mkdir, mkdtemp, rm, symlink, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { thisMachine } from "../../../engine/machines/local/localMachine.ts";
import { storeRoot } from "../../../engine/media/mediaStore.ts";
import { openStore } from "../../../engine/media/readStore.ts";
import { newScanNotes, scanStore, type StoredFile } from "../../../engine/media/scan.ts";
import { expectError } from "../../support/expectError.ts";

describe("the walk over a media store", () => {
    let root: string;
    const put = async (path: string, content = "x"): Promise<void> => {
        await mkdir(dirname(join(root, path)), { recursive: true });
        await writeFile(join(root, path), content);
    };
    const rootOf = async () => ({ machine: thisMachine, root: await storeRoot(thisMachine, root) });
    const walk = async (
        notes = newScanNotes(),
        folders = ["local_content", "remote_content"],
    ): Promise<StoredFile[]> => {
        const files: StoredFile[] = [];
        for await (const file of scanStore(await rootOf(), folders, notes)) files.push(file);
        return files;
    };
    const paths = async (notes = newScanNotes()) => (await walk(notes)).map(({ path }) => path);

    beforeEach(async () => {
        root = await mkdtemp(join(tmpdir(), "store-"));
    });
    afterEach(() => rm(root, { recursive: true }));

    it("finds every file of the given folders, in the order of their names' bytes", async () => {
        for (const path of ["local_content/ab/x/1", "local_content/aB/x/2", "local_content/ab/X/3", "url_cache/a/b/4"])
            await put(path);
        expect(await paths()).to.deep.equal(["local_content/aB/x/2", "local_content/ab/X/3", "local_content/ab/x/1"]);
        const [file] = await walk();
        expect(file).to.include({ size: 1, sparse: false });
        expect(file?.mtime).to.match(/^\d{19}$/);
    });

    it("counts names that differ only in case, and lists names that are not Synapse's", async () => {
        for (const path of [
            "local_content/ab/cd/1",
            "local_content/aB/cd/2",
            "local_content/ab/cd/with blank",
            "local_content/ab/cd/line\nend",
        ]) {
            await put(path);
        }
        const notes = newScanNotes();
        expect(await paths(notes)).to.have.length(2);
        expect(notes.caseTwins).to.equal(1);
        expect(notes.foreign).to.have.length(2);
    });

    it("tells files with holes", async () => {
        await put("local_content/ab/cd/1");
        await truncate(join(root, "local_content/ab/cd/1"), 10_000_000);
        expect((await walk())[0]).to.include({ sparse: true, size: 10_000_000 });
    });

    it("follows a link to the store, and links inside it", async () => {
        await put("local_content/ab/cd/1");
        await symlink(join(root, "local_content/ab"), join(root, "local_content/zz"));
        await symlink("1", join(root, "local_content/ab/cd/2"));
        const link = `${root}-link`;
        await symlink(root, link);
        try {
            expect(await storeRoot(thisMachine, link)).to.equal(await storeRoot(thisMachine, root));
        } finally {
            await rm(link);
        }
        expect(await paths()).to.deep.equal([
            "local_content/ab/cd/1",
            "local_content/ab/cd/2",
            "local_content/zz/cd/1",
            "local_content/zz/cd/2",
        ]);
    });

    describe("with top-level folders on another disk", () => {
        let disk: string;
        const onDisk = async (path: string, content = "far"): Promise<void> => {
            await mkdir(dirname(join(disk, path)), { recursive: true });
            await writeFile(join(disk, path), content);
        };
        const followed = async (): Promise<string[]> => {
            const folders = ["local_content", "remote_content"];
            const store = await openStore(thisMachine, root, folders);
            const found: string[] = [];
            for await (const { path } of scanStore(store, folders, newScanNotes())) found.push(path);
            return found;
        };
        beforeEach(async () => {
            disk = await mkdtemp(join(tmpdir(), "disk-"));
            await onDisk("local_content/ab/cd/1");
            await symlink(join(disk, "local_content"), join(root, "local_content"));
            await put("remote_content/x/ab/cd/2");
        });
        afterEach(() => rm(disk, { recursive: true }));

        it("follows them in a source, and in no store of ours", async () => {
            expect(await followed()).to.deep.equal(["local_content/ab/cd/1", "remote_content/x/ab/cd/2"]);
            expect((await expectError("SM-E0963", walk)).detail.found).to.contain("out of the store");
        });

        it("follows links in them that stay in the store, wherever its folders lie", async () => {
            await symlink(join(disk, "local_content/ab/cd/1"), join(disk, "local_content/ab/cd/3"));
            await symlink(join(disk, "local_content/ab"), join(root, "remote_content/zz"));
            expect(await followed()).to.deep.equal([
                ...["local_content/ab/cd/1", "local_content/ab/cd/3"],
                ...["remote_content/x/ab/cd/2", "remote_content/zz/cd/1", "remote_content/zz/cd/3"],
            ]);
        });

        it("refuses links deeper in them that lead elsewhere, beside the folder too", async () => {
            await onDisk("private/1");
            for (const to of ["/etc", join(disk, "private"), disk, join(disk, "local_content")]) {
                await symlink(to, join(disk, "local_content/ab/out"));
                expect((await expectError("SM-E0963", followed)).detail.found).to.contain("out of the store");
                await rm(join(disk, "local_content/ab/out"));
            }
        });

        const unfit: readonly (readonly [string, () => string])[] = [
            ["leads nowhere", () => join(disk, "unmounted")],
            ["is no directory", () => join(disk, "local_content/ab/cd/1")],
            ["which the store lies in", () => dirname(root)],
            ["which the store lies in", () => root],
            ["which the store lies in", () => "/"],
        ];
        for (const [at, [found, to]] of unfit.entries())
            it(`refuses one whose link ${found} (${at + 1})`, async () => {
                await rm(join(root, "remote_content"), { recursive: true });
                await symlink(to(), join(root, "remote_content"));
                expect((await expectError("SM-E0963", followed)).detail.found).to.contain(found);
            });

        it("follows no link that Synapse's user has made to what is not theirs", async function () {
            if (process.geteuid?.() !== 0) return;
            const nobody = 65_534;
            await lchown(join(root, "local_content"), nobody, nobody);
            await chown(root, nobody, nobody);
            expect((await expectError("SM-E0963", followed)).detail.found).to.contain("which belongs to user 0");
            await chown(join(disk, "local_content"), nobody, nobody);
            expect(await followed()).to.have.length(2);
        });
    });

    const refusals: [string, string, () => Promise<unknown>][] = [
        [
            "a link that leads out of the store",
            "out of the store, to /etc",
            () => symlink("/etc/passwd", join(root, "local_content/ab/1")),
        ],
        [
            "a directory that is a link out of the store",
            "out of the store",
            () => symlink("/etc", join(root, "local_content/zz")),
        ],
        ["a link that leads nowhere", "leads nowhere", () => symlink("gone", join(root, "local_content/ab/1"))],
        [
            "a link to a directory above it",
            "back to a directory above",
            () => symlink("..", join(root, "local_content/ab/up")),
        ],
        [
            "a pipe",
            "neither a file nor a directory",
            () => promisify(execFile)("mkfifo", [join(root, "local_content/ab/1")]),
        ],
    ];
    for (const [what, found, make] of refusals) {
        it(`refuses ${what} with SM-E0963`, async () => {
            await mkdir(join(root, "local_content/ab"), { recursive: true });
            await make();
            expect((await expectError("SM-E0963", walk)).detail.found).to.contain(found);
        });
    }

    it("refuses a directory that it may not read with SM-E0963", async () => {
        await put("local_content/ab/cd/1");
        await chmod(join(root, "local_content/ab"), 0);
        await chmod(root, 0o755);
        // Root may read everything.
        const weAreRoot = process.geteuid?.() === 0;
        if (weAreRoot) process.seteuid?.(65_534);
        try {
            expect((await expectError("SM-E0963", walk)).detail.where).to.match(/local_content\/ab$/);
        } finally {
            if (weAreRoot) process.seteuid?.(0);
            await chmod(join(root, "local_content/ab"), 0o755);
        }
    });

    it("refuses a store that is a file or missing with SM-E0963", async () => {
        await put("file");
        expect(
            (await expectError("SM-E0963", () => storeRoot(thisMachine, join(root, "file")))).detail.found,
        ).to.contain("not a directory");
        await expectError("SM-E0963", () => storeRoot(thisMachine, join(root, "missing")));
    });
});
