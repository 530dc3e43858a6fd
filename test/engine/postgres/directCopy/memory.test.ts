import { expect } from "chai";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { copyContract } from "../../../../contract/index.ts";
import { testCluster, type TestCluster } from "../../../support/cluster.ts";
import { newRun } from "../../../support/migrationDump.ts";

const mebibyte = 1024;
/** Node itself, and the modules of a step, are some 100 MiB of it. */
const mostMemory = 256 * mebibyte;

const answered = z.object({ result: copyContract.result, peakMemory: z.number() });

describe("the memory of a direct copy", function () {
    this.timeout(180_000);
    let cluster: TestCluster;

    before(async () => {
        cluster = await testCluster();
    });

    for (const [title, prepare] of [
        [
            "one value of 200 MB",
            `CREATE TABLE huge (id int PRIMARY KEY, value bytea);
            ALTER TABLE huge ALTER value SET STORAGE EXTERNAL;
            INSERT INTO huge SELECT 1, decode(repeat('5c0a', 100000000), 'hex')`,
        ],
        [
            "five million tiny rows",
            `CREATE TABLE tiny (id int, flag boolean); INSERT INTO tiny SELECT g, g % 2 = 0 FROM generate_series(1, 5000000) g`,
        ],
    ] as const) {
        it(`does not grow with ${title}`, async () => {
            const sourceName = await cluster.createDatabase("synapse", cluster.newName("source"));
            await cluster.query(sourceName, prepare, "synapse");
            const run = await newRun(cluster);
            const spec = {
                run: { id: run.id, directory: run.directory },
                source: await cluster.source(sourceName),
                database: cluster.target(cluster.newName("target")),
                ...{ safeguard: "absent", jobs: 2 },
            };
            const child = spawn(
                process.execPath,
                ["--import", "tsx", fileURLToPath(import.meta.resolve("../../../support/copyProcess.ts"))],
                { stdio: ["pipe", "pipe", "inherit"], env: { ...process.env, NODE_V8_COVERAGE: "" } },
            );
            const ended = once(child, "exit");
            child.stdin.end(JSON.stringify(spec));
            const said = await text(child.stdout);
            expect((await ended)[0]).to.equal(0);
            const { result, peakMemory } = answered.parse(JSON.parse(said));
            expect(peakMemory).to.be.below(mostMemory);
            await cluster.query("postgres", `DROP DATABASE ${result.incoming}`);
            await cluster.query("postgres", `DROP DATABASE ${sourceName}`);
        });
    }
});
