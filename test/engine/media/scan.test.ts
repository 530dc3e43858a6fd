import { expect } from "chai";
import { execFile } from "node:child_process";
import { chmod, mkdir, mkdtemp, rm, symlink, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { newScanNotes, scanStore, storeRoot, type StoredFile } from "../../../engine/media/scan.ts";
import { expectError } from "../../support/expectError.ts";

describe("the walk over a media store", () => {
    let root: string;
    const put = async (path: string, content = "x"): Promise<void> => {
        await mkdir(dirname(join(root, path)), { recursive: true });
        await writeFile(join(root, path), content);
    };
    const walk = async (
        notes = newScanNotes(),
        folders = ["local_content", "remote_content"],
    ): Promise<StoredFile[]> => {
        const files: StoredFile[] = [];
        for await (const file of scanStore(await storeRoot(root), folders, notes)) files.push(file);
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
            expect(await storeRoot(link)).to.equal(await storeRoot(root));
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
        expect((await expectError("SM-E0963", () => storeRoot(join(root, "file")))).detail.found).to.contain(
            "not a directory",
        );
        await expectError("SM-E0963", () => storeRoot(join(root, "missing")));
    });
});
