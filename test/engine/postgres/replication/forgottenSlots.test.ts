import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect } from "chai";
import { stringify } from "yaml";
import { copyChecks } from "../../../../engine/assess/serverCopyChecks.ts";
import { undoFollowing } from "../../../../engine/postgres/replication/undoFollowing.ts";
import { follow } from "../../../../engine/postgres/replication/follow.ts";
import { dropForgotten, listSlots, slotLines } from "../../../../engine/postgres/replication/forgottenSlots.ts";
import { slotsOfSource } from "../../../../toolchain/replicationSlots.ts";
import type { TestCluster } from "../../../support/cluster.ts";
import { expectError } from "../../../support/expectError.ts";
import { findingsOf } from "../../assess/runCheck.ts";
import { copyRowsByDump } from "./copyByDump.ts";
import { makePair, startSource } from "./source.ts";
import { until } from "../../../../engine/run/until.ts";
import { configuredAddress } from "../../../../engine/postgres/databases/sourceDatabase.ts";

describe("slots that were forgotten", function () {
    this.timeout(60_000);
    let cluster: TestCluster;

    before(async () => {
        cluster = await startSource();
    });
    after(() => cluster.stop());

    it("are listed with what they keep, found by the doctor, and dropped only when nobody reads them", async () => {
        const pair = await makePair(cluster, cluster);
        const { homeserverConfig } = await cluster.source(pair.sourceName);
        const stack = join(cluster.directory, "stacks", "Pulumi.prod.yaml");
        await mkdir(join(cluster.directory, "stacks"));
        const source = { kind: "selfHosted", homeserverConfig: homeserverConfig[0] };
        await writeFile(stack, stringify({ config: { "synapse-migration:source": source } }));
        const address = await configuredAddress(homeserverConfig);
        const name = `synapse_migration_${pair.run.id}`;
        expect(slotLines(await listSlots(address))).to.deep.equal(["no slot of this program is on the server"]);
        await follow(pair.replication, { copy: copyRowsByDump(cluster.programs), jobs: 1 });
        expect(slotLines(await listSlots(address))[0]).to.contain("a target follows");
        expect((await slotsOfSource(stack)).problem).to.equal(undefined);
        expect(await findingsOf(copyChecks, "replication-slots", address)).to.deep.equal([]);
        await expectError("SM-E1311", () => dropForgotten(address, name));
        // The target is gone for good: nobody reads any more.
        await cluster.query(pair.incoming, `ALTER SUBSCRIPTION ${name} DISABLE`);
        const inPreview = (): ReturnType<typeof findingsOf> => findingsOf(copyChecks, "replication-slots", address);
        // The sender ends a moment after the subscription was disabled.
        const problem = await until(async () => (await slotsOfSource(stack)).problem, { seconds: 5 });
        expect(problem?.code).to.equal("SM-E1308");
        expect(problem?.detail.fix).to.contain(`--drop ${name}`);
        expect((await listSlots(address))[0]).to.include({ active: false, name });
        const [warning] = await inPreview();
        expect(warning).to.include({ id: "SM-W1302", severity: "warning" });
        expect(warning?.evidence).to.contain(`${name} of database ${pair.sourceName}: nobody reads it`);
        await dropForgotten(address, name);
        expect(await inPreview()).to.deep.equal([]);
        expect(await listSlots(address)).to.deep.equal([]);
        await expectError("SM-E1311", () => dropForgotten(address, name));
        expect(await undoFollowing(pair.replication, true)).to.deep.equal([]);
    });

    it("are not looked for where the source is files, and said to be unknown where it does not answer", async () => {
        const stack = join(cluster.directory, "Pulumi.files.yaml");
        await writeFile(stack, stringify({ config: { "synapse-migration:source": { kind: "backup" } } }));
        expect(await slotsOfSource(stack)).to.deep.equal({ seen: undefined, problem: undefined });
        const homeserverConfig = join(cluster.directory, "nowhere.yaml");
        await writeFile(
            stack,
            stringify({ config: { "synapse-migration:source": { kind: "selfHosted", homeserverConfig } } }),
        );
        expect((await slotsOfSource(stack)).seen).to.contain("could not be asked");
    });
});
