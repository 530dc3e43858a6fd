import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { expect } from "chai";
import { thisMachine } from "../../../engine/machines/local/localMachine.ts";
import type { AssessmentContext } from "../../../engine/assess/check.ts";
import { mediaFileChecks } from "../../../engine/assess/mediaFileChecks.ts";
import type { Finding } from "../../../contract/index.ts";
import { localContentPath } from "../../../engine/media/layout.ts";
import { withClient } from "../../../engine/postgres/connection.ts";
import { testCluster, type TestCluster } from "../../support/cluster.ts";

describe("the files of the source's own media, in the assessment", function () {
    this.timeout(120_000);
    let cluster: TestCluster;
    let name = "";
    let store = "";

    before(async () => {
        cluster = await testCluster();
    });
    beforeEach(async () => {
        name = await cluster.createDatabase("synapse");
        await cluster.query(name, "TRUNCATE local_media_repository, local_media_repository_thumbnails");
        store = await mkdtemp(join(cluster.directory, "store-"));
        await mkdir(join(store, "local_content"));
    });
    afterEach(() => rm(store, { recursive: true }));

    const row = (mediaId: string, length: number | "NULL" = 3): Promise<unknown> =>
        cluster.query(
            name,
            `INSERT INTO local_media_repository (media_id, media_type, media_length, created_ts, user_id)
                VALUES ('${mediaId}', 'text/plain', ${length}, 1, '@a:rehearsal.test')`,
        );
    const file = async (mediaId: string, content = "abc"): Promise<void> => {
        const path = join(store, localContentPath(mediaId) ?? "");
        await mkdir(dirname(path), { recursive: true });
        await writeFile(path, content);
    };
    const found = async (acceptMissingMedia?: string): Promise<Finding[]> => {
        const source = await cluster.source(name);
        const [check] = mediaFileChecks;
        if (check === undefined) expect.fail("there is no check");
        const findings = await withClient(cluster.address(name), { step: "test", readOnly: true }, (client) =>
            check.run({
                client,
                spec: { source, acceptMissingMedia },
                config: { machine: thisMachine, mediaStorePath: store, sections: {} },
            } as unknown as AssessmentContext),
        );
        return Array.isArray(findings) ? findings : expect.fail("it did not run");
    };
    const acceptance = (findings: readonly Finding[]): string =>
        /acceptMissingMedia (\d+:[0-9a-f]{64})$/.exec(findings[0]?.fix ?? "")?.[1] ?? expect.fail("no value to accept");

    it("finds nothing where each has its file, and one that was never uploaded has none", async () => {
        await row("here1here");
        await file("here1here");
        await row("pending1pending", "NULL");
        expect(await found()).to.deep.equal([]);
    });

    it("counts those without a file, names ten of them, and blocks until exactly these are accepted", async () => {
        for (let n = 10; n < 22; n++) await row(`gone${n}gone`);
        const [refused, ...more] = await found();
        expect(more).to.deep.equal([]);
        expect(refused).to.deep.include({ id: "SM-E0967", severity: "error" });
        expect(refused?.evidence)
            .to.contain("12 of 12 media")
            .and.to.contain("gone19gone")
            .and.not.to.contain("gone20gone");
        const value = acceptance(refused === undefined ? [] : [refused]);
        expect(value).to.match(/^12:/);
        const accepted = await found(value);
        expect(accepted.map(({ id, severity }) => [id, severity])).to.deep.equal([["SM-W0860", "warning"]]);
        expect(accepted[0]?.evidence).to.contain("gone10gone");
    });

    it("refuses another list than the one that was accepted, with both counts and the value of this one", async () => {
        await row("gone1gone");
        const value = acceptance(await found());
        await row("gone2gone");
        const [refused] = await found(value);
        expect(refused).to.deep.include({ id: "SM-E0967", severity: "error" });
        expect(refused?.evidence).to.contain("2 media have no file, and acceptMissingMedia accepts another list, of 1");
        expect(acceptance(refused === undefined ? [] : [refused]))
            .to.match(/^2:/)
            .and.not.to.equal(value);
        await file("gone1gone");
        expect((await found(value)).map(({ id }) => id)).to.deep.equal(["SM-E0967"]);
        await file("gone2gone");
        expect(await found(value)).to.deep.equal([]);
    });

    it("accepts no file of another size", async () => {
        await row("gone1gone");
        await row("short1short");
        await file("short1short", "a");
        const value = acceptance(await found());
        expect((await found(value)).map(({ id }) => id)).to.deep.equal(["SM-W0860", "SM-E0962"]);
    });

    it("looks into folders that lie elsewhere, and says that they do", async () => {
        await row("here1here");
        await file("here1here");
        await rename(join(store, "local_content"), `${store}-disk`);
        await symlink(`${store}-disk`, join(store, "local_content"));
        const [warning, ...more] = await found();
        expect(more).to.deep.equal([]);
        expect(warning).to.deep.include({ id: "SM-W0861", severity: "warning" });
        expect(warning?.evidence).to.contain(`local_content lies in ${store}-disk`);
        await rm(`${store}-disk`, { recursive: true });
        expect((await found()).map(({ id }) => id)).to.deep.equal(["SM-E0963"]);
    });

    it("says what keeps the store from being read, as the copy would", async () => {
        await symlink("/etc", join(store, "local_content", "et"));
        expect((await found()).map(({ id }) => id)).to.deep.equal(["SM-E0963"]);
    });
});
