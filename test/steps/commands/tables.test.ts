import { readFile, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import { execa } from "execa";
import { bundlePassphrase, encrypted, newDirectory } from "../../support/bundle.ts";
import { testCluster, type TestCluster } from "../../support/cluster.ts";
import { withWorkDirectory } from "../../support/workDirectory.ts";
import { liveDatabase, type LiveDatabase } from "../../engine/tables/backups.ts";

const root = fileURLToPath(new URL("../../..", import.meta.url));
const usageError = 2;
let cluster: TestCluster;
let live: LiveDatabase;

async function call(
    args: readonly string[],
    input = "",
): Promise<{ readonly code: number | undefined; readonly stdout: string; readonly stderr: string }> {
    const { exitCode, stdout, stderr } = await execa(
        process.execPath,
        ["steps/synapse-migrate.mjs", "tables", ...args],
        { cwd: root, input, reject: false, timeout: 120_000 },
    );
    return { code: exitCode, stdout, stderr };
}

describe("synapse-migrate tables", () => {
    before(async function () {
        this.timeout(180_000);
        cluster = await testCluster();
        live = await liveDatabase(cluster);
    });

    const database = (): string[] => [
        ...["--host", "127.0.0.1", "--port", String(cluster.port), "--name", live.name, "--user", "synapse"],
        ...["--password-file", cluster.passwordFile],
    ];

    it("plans from an encrypted backup, applies, and discards, with secrets from files and standard input alone", async function () {
        this.timeout(120_000);
        await live.query("INSERT INTO users (name) VALUES ('@lost:rehearsal.test')");
        const plain = await live.dump();
        const backup = `${plain}.gpg`;
        await writeFile(backup, encrypted(await readFile(plain), await newDirectory(cluster, "gpg")));
        await live.query("DELETE FROM users WHERE name = '@lost:rehearsal.test'");
        await withWorkDirectory(async (directory) => {
            const planning = await call(
                [
                    "--backup",
                    backup,
                    "--tables",
                    "public.users",
                    "--directory",
                    directory,
                    "--passphrase-file",
                    "-",
                    ...database(),
                ],
                `${bundlePassphrase}\n`,
            );
            expect(planning.code, planning.stderr).to.equal(0);
            expect(planning.stderr).to.contain("users: 1 only in the backup").and.not.contain(bundlePassphrase);
            const [config = ""] = (await cluster.source(live.name)).homeserverConfig;
            const applied = await call(["--apply", planning.stdout, "--database-config", config]);
            expect(applied.code, applied.stderr).to.equal(0);
            expect(applied.stderr).to.contain("users: 1 rows inserted, 0 replaced");
            expect(await live.query("SELECT 1 AS one FROM users WHERE name = '@lost:rehearsal.test'")).to.have.length(
                1,
            );
            expect(await live.schemas()).to.have.length(1);
            expect((await call(["--discard", planning.stdout, ...database()])).code).to.equal(0);
            expect(await live.schemas()).to.deep.equal([]);
        });
    });

    it("says what is missing, and takes no secret from the command line", async function () {
        this.timeout(120_000);
        const faults: [string[], RegExp][] = [
            [database(), /exactly one of --backup, --apply and --discard/],
            [["--backup", "x", ...database()], /--tables and --directory/],
            [["--discard", "synapse_restore_00000000"], /--database-config, or --host/],
            [["--discard", "x", ...database(), "--port", "0"], /--port/],
            [["--discard", "x", "--passphrase-file2=unmistakable"], /SM-E0210/],
        ];
        for (const [args, said] of faults) {
            const { code, stderr } = await call(args);
            expect(code, stderr).to.equal(usageError);
            expect(stderr).to.match(said).and.not.contain("unmistakable");
        }
    });
});
