import { expect } from "chai";
import { mkdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import {
    hashArchive,
    listArchive,
    parseArchiveList,
    refuseIncompleteArchive,
} from "../../../../engine/postgres/pgDump/dumpArchive.ts";
import { testCluster } from "../../../support/cluster.ts";
import { expectError } from "../../../support/expectError.ts";
import { withWorkDirectory } from "../../../support/workDirectory.ts";

const entries = parseArchiveList("7; 0 1 TABLE DATA public users synapse\n8; 0 2 TABLE DATA public events synapse\n");
const tables = [
    { schema: "public", name: "users" },
    { schema: "public", name: "events" },
];

async function archive(directory: string, ...files: string[]): Promise<string> {
    await mkdir(directory);
    for (const file of files) await writeFile(join(directory, file), file);
    return directory;
}

describe("an archive of pg_dump", () => {
    it("is complete when every table of the snapshot has its file, compressed or not", async () => {
        await withWorkDirectory(async (path) => {
            await refuseIncompleteArchive(await archive(path, "toc.dat", "7.dat", "8.dat.lz4"), entries, tables);
        });
    });

    it("is refused when the file of a table is missing", async () => {
        await withWorkDirectory(async (path) => {
            const directory = await archive(path, "toc.dat", "7.dat");
            const error = await expectError("SM-E0906", () => refuseIncompleteArchive(directory, entries, tables));
            expect(error.detail.found).to.equal("no file 8.dat, the data of table public.events");
        });
    });

    it("is refused when it lacks a table of the snapshot, or has one that was made later", async () => {
        await withWorkDirectory(async (path) => {
            const directory = await archive(path, "7.dat", "8.dat");
            const others = [...tables.slice(0, 1), { schema: "public", name: "rooms" }];
            const error = await expectError("SM-E0912", () => refuseIncompleteArchive(directory, entries, others));
            expect(error.detail.found).to.equal("no data of table public.rooms, data of table public.events");
        });
    });

    it("is refused when pg_restore cannot read it", async () => {
        const { programs } = await testCluster();
        await withWorkDirectory(async (path) => {
            const directory = await archive(path, "toc.dat");
            await expectError("SM-E0905", () => listArchive(programs, directory));
        });
    });

    it("is refused when one of its files is a link", async () => {
        await withWorkDirectory(async (path) => {
            const directory = await archive(path, "7.dat");
            await symlink("7.dat", join(directory, "8.dat"));
            await expectError("SM-E0906", () => hashArchive(directory));
        });
    });
});
