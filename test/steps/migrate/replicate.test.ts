import { expect } from "chai";
import { access, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { catchUpContract, followContract, settleContract, type SelfHostedSource } from "../../../contract/index.ts";
import { catchUp } from "../../../steps/migrate/catchUp.ts";
import { tokenDigest, writeToken } from "../../../engine/fence/fenceToken.ts";
import { readWatermarks } from "../../../engine/fence/watermarks.ts";
import { follow } from "../../../steps/stage/follow.ts";
import { withClient } from "../../../engine/postgres/connection.ts";
import { tableFingerprints } from "../../../engine/postgres/compare/fingerprint.ts";
import { readMarker } from "../../../engine/postgres/databases/marker.ts";
import { settle } from "../../../steps/migrate/settle.ts";
import { startCluster, testServerName, type TestCluster } from "../../support/cluster.ts";
import { expectError } from "../../support/expectError.ts";
import { done, undone } from "../../support/migrationSpecs.ts";
import { withWorkDirectory } from "../../support/workDirectory.ts";
import { startSource, tracesOn } from "../../engine/postgres/replication/source.ts";

describe("the steps follow, settle and catch-up on a homeserver's database", function () {
    this.timeout(180_000);
    let source: TestCluster;
    let target: TestCluster;

    before(async () => {
        source = await startSource();
        target = await startCluster({ postgres: "newer" });
        await target.query("postgres", "GRANT pg_create_subscription TO migrator");
    });
    after(() => Promise.all([source.stop(), target.stop()]));

    interface Case {
        readonly sourceName: string;
        readonly spec: {
            readonly run: { readonly id: string; readonly directory: string };
            readonly source: SelfHostedSource;
            readonly database: ReturnType<TestCluster["target"]>;
        };
    }

    async function withCase(work: (made: Case) => Promise<void>): Promise<void> {
        await withWorkDirectory(async (directory) => {
            const sourceName = await source.createDatabase("synapse", source.newName("source"));
            const id = source.newName("r").replaceAll("_", "");
            const runs = join(directory, "runs");
            await mkdir(runs, { recursive: true, mode: 0o700 });
            const spec = {
                run: { id, directory: join(runs, id) },
                source: await source.source(sourceName),
                database: target.target(target.newName("target")),
            };
            try {
                await work({ sourceName, spec });
            } finally {
                await undone(follow, spec);
            }
            expect(await tracesOn({ source, sourceName })).to.deep.equal([]);
        });
    }

    /** What the fence would leave, without a homeserver that runs. */
    const fenced = async ({ sourceName, spec }: Case): Promise<string> => {
        const watermarks = await withClient(source.address(sourceName), { step: "fence" }, readWatermarks);
        const token = { run: spec.run.id, serverName: testServerName, fencedAt: new Date().toISOString(), watermarks };
        await writeToken(spec.run.directory, token);
        return tokenDigest(token);
    };

    it("carry every row and sequence over, and a second call answers from what was proven", async () => {
        await withCase(async (made) => {
            const { spec, sourceName } = made;
            const followed = await done(follow, spec, followContract.result);
            expect(followed.tables).to.be.greaterThan(150);
            expect(followed.identities).to.be.greaterThan(100);
            await source.query(
                sourceName,
                `INSERT INTO users (name) VALUES ('@late:${testServerName}');
                UPDATE users SET admin = 1 WHERE name = '@late:${testServerName}';
                SELECT nextval('events_stream_seq')`,
                "synapse",
            );
            const { digest } = followed;
            const settled = await done(settle, { ...spec, digest }, settleContract.result);
            expect(settled.lagSeconds).to.be.lessThan(5);
            const spec2 = { ...spec, digest, fenceToken: await fenced(made), safeguard: "absent", verify: "strict" };
            const result = await done(catchUp, spec2, catchUpContract.result);
            expect(result.checks.filter(({ state }) => state === "failed")).to.deep.equal([]);
            expect(result.checks.find(({ id }) => id === "replica-rows")?.state).to.equal("passed");
            expect(await done(catchUp, spec2, catchUpContract.result)).to.deep.equal(result);
            const options = { step: "test", jobs: 1 };
            const here = await tableFingerprints(source.address(sourceName), options);
            const there = await tableFingerprints(target.address(result.incoming), options);
            const rowsOf = (list: typeof here) => list.map(({ name, rows, hash }) => ({ name, rows, hash }));
            expect(rowsOf(there)).to.deep.equal(rowsOf(here));
            const marker = await withClient(target.address(result.incoming), { step: "test" }, readMarker);
            expect(marker?.state).to.equal("restored");
            expect(await tracesOn({ source, sourceName })).to.deep.equal([]);
        });
    });

    it("cannot be gone on with once the last change was taken over and taken back", async () => {
        await withCase(async (made) => {
            const { digest } = await done(follow, made.spec, followContract.result);
            const fenceToken = await fenced(made);
            const spec = { ...made.spec, digest, fenceToken, safeguard: "absent", verify: "quick" };
            const result = await done(catchUp, spec, catchUpContract.result);
            expect(result.checks.find(({ id }) => id === "replica-rows")?.state).to.equal("not-run");
            await undone(catchUp, spec);
            await expectError("SM-E1310", () => done(catchUp, spec, catchUpContract.result));
            await expectError("SM-E1310", () => done(settle, { ...made.spec, digest }, settleContract.result));
            await undone(catchUp, spec);
            await undone(follow, made.spec);
            expect(await access(join(made.spec.run.directory, "replication.json")).catch(() => "gone")).to.equal(
                "gone",
            );
            expect(await target.databases()).to.not.include(result.incoming);
        });
    });
});
