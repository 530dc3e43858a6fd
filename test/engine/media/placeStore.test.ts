import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { expect } from "chai";
import { placeStore, takeBackPlaced, type PlacedStore } from "../../../engine/media/placeStore.ts";
import { thisMachine } from "../../../engine/machines/local/localMachine.ts";
import type { Machine } from "../../../engine/machines/machine.ts";
import { expectError } from "../../support/expectError.ts";
import { helperMachine } from "../../support/helperMachine.ts";

for (const kind of ["this machine", "another machine"] as const)
    describe(`media that are sent to an installed homeserver's store on ${kind}`, () => {
        let directory: string;
        let release: () => Promise<void> = () => Promise.resolve();
        let machine: Machine = thisMachine;
        const there = (path: string): string => join(directory, "installed", path);
        const store = (pass: PlacedStore["pass"]): PlacedStore => ({
            ...{ machine, root: there(""), from: join(directory, "store"), directory: join(directory, "run"), pass },
        });
        const write = async (path: string, content: string): Promise<void> => {
            await mkdir(dirname(path), { recursive: true });
            await writeFile(path, content);
        };
        const media = (path: string, content: string) =>
            write(join(directory, "store", "local_content", path), content);
        const entries = async (): Promise<string[]> =>
            (await readdir(there(""), { recursive: true })).sort((a, b) => (a < b ? -1 : 1));

        beforeEach(async () => {
            directory = await mkdtemp(join(tmpdir(), "synapse-migration-place-"));
            for (const folder of ["store", "installed", "run"]) await mkdir(join(directory, folder), { mode: 0o700 });
            if (kind === "another machine") {
                const far = await helperMachine();
                machine = far;
                release = () => far.close();
            }
            await media("aa/bb/one", "one");
            await media("aa/cc/large", "x".repeat(3 * 1024 * 1024 + 5));
            await utimes(join(directory, "store/local_content/aa/bb/one"), 1_600_000_000, 1_600_000_000);
        });
        afterEach(async () => {
            await release();
            await rm(directory, { recursive: true });
        });

        it("are there, whole, with their time of change and modes that keep others out; and sent once", async () => {
            const first = await placeStore(store("early"));
            expect(first).to.include({ files: 2, sent: 2, bytes: 3 * 1024 * 1024 + 8 });
            await media("aa/bb/two", "two");
            const second = await placeStore(store("final"));
            expect(second).to.include({ files: 3, sent: 1 });
            expect(second.treeDigest).not.to.equal(first.treeDigest);
            expect(await readFile(there("local_content/aa/bb/one"), "utf8")).to.equal("one");
            const facts = await stat(there("local_content/aa/bb/one"));
            expect([facts.mode & 0o777, facts.mtimeMs]).to.deep.equal([0o640, 1_600_000_000_000]);
            expect((await stat(there("local_content/aa"))).mode & 0o777).to.equal(0o750);
            expect((await stat(there("local_content/aa/cc/large"))).size).to.equal(3 * 1024 * 1024 + 5);
        });

        it("are taken back with all that came since, and what was there before stays", async () => {
            await write(there("local_content/aa/bb/own"), "the installer's");
            for (const empty of ["url_cache", "local_content/aa/cc"]) await mkdir(there(empty), { recursive: true });
            await write(there("homeserver.log"), "no part of the store");
            const before = await entries();
            await placeStore(store("early"));
            await placeStore(store("final"));
            await write(there("local_thumbnails/aa/made-since"), "by the started homeserver");
            await write(there("homeserver.log"), "longer, and nobody's to remove");
            await takeBackPlaced(store("final"));
            await takeBackPlaced(store("early"));
            expect(await entries()).to.deep.equal(before);
            expect(await takeBackPlaced(store("early")), "nothing is left to take back").to.equal(0);
        });

        it("are refused where another file has the name of one, which stays", async () => {
            await write(there("local_content/aa/bb/one"), "two");
            const { detail } = await expectError("SM-E1604", () => placeStore(store("final")));
            expect(detail.found).to.equal("local_content/aa/bb/one");
            expect(await readFile(there("local_content/aa/bb/one"), "utf8")).to.equal("two");
        });

        it("follow no link that leads out of the store", async () => {
            await mkdir(join(directory, "elsewhere"));
            await mkdir(there("local_content"));
            await symlink(join(directory, "elsewhere"), there("local_content/aa"));
            expect(await placeStore(store("final")).catch((error: unknown) => error)).to.be.instanceOf(Error);
            expect(await readdir(join(directory, "elsewhere"))).to.deep.equal([]);
        });

        it("are taken back without what a link leads to, which Synapse's user may make at any time", async () => {
            await write(join(directory, "elsewhere/precious"), "not of the store");
            await placeStore(store("final"));
            await symlink(join(directory, "elsewhere"), there("local_content/link"));
            await takeBackPlaced(store("final"));
            expect(await readFile(join(directory, "elsewhere/precious"), "utf8")).to.equal("not of the store");
            expect(await entries()).to.deep.equal([]);
        });

        it("replace what an attempt that was killed has left half sent", async () => {
            await mkdir(there("local_content/aa/bb"), { recursive: true });
            await writeFile(there("local_content/aa/bb/one.synapse-migration-partial"), "on");
            await chmod(there("local_content/aa/bb/one.synapse-migration-partial"), 0o600);
            await placeStore(store("final"));
            expect(await readdir(there("local_content/aa/bb"))).to.deep.equal(["one"]);
        });
    });
