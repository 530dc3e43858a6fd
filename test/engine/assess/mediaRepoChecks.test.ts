import { chmod, chown, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { mediaRepoChecks } from "../../../engine/assess/mediaRepoChecks.ts";
import { mediaRepoTarget, type Finding } from "../../../contract/index.ts";
import { serviceUser } from "../../../engine/machines/serviceUser.ts";
import { testCluster } from "../../support/cluster.ts";
import { findingsOf } from "./runCheck.ts";

const serverName = "rehearsal.test";

/** Of a homeserver with media of 5 and 500 bytes, of which one needs a token. */
async function found(settings: string, content: "synapse" | "empty" = "synapse"): Promise<Finding[]> {
    const cluster = await testCluster();
    const name = await cluster.createDatabase(content);
    if (content === "synapse")
        await cluster.query(
            name,
            `TRUNCATE local_media_repository; INSERT INTO local_media_repository (media_id, media_length, authenticated, created_ts)
                VALUES ('short', 5, true, 1), ('long', 500, false, 1), ('never', NULL, false, 1)`,
        );
    const directory = await mkdtemp(join(tmpdir(), "media-repo-"));
    try {
        await chmod(directory, 0o755);
        const [importer, config] = [join(directory, "gdpr_import"), join(directory, "media-repo.yaml")];
        await writeFile(importer, "", { mode: 0o755 });
        await writeFile(
            config,
            `database: {postgres: "postgres://a:b@127.0.0.1/m"}\ndatastores: [{type: s3, forKinds: [all]}]\n${settings}`,
        );
        const user = serviceUser();
        if (user !== undefined) await chown(config, user.uid, user.gid);
        const source = await cluster.source(name);
        const mediaRepo = mediaRepoTarget.parse({ kind: "mediaRepo", importer, config, directory });
        return await findingsOf(mediaRepoChecks, "media-repository", cluster.address(name), { mediaRepo, source });
    } finally {
        await rm(directory, { recursive: true, force: true });
    }
}

const ids = (findings: readonly Finding[]): string[] => findings.map(({ id, severity }) => `${id} ${severity}`);
const known = `homeservers: [{name: ${serverName}}]`;
const frozen = `${known}\nrepo: {freezeUnauthenticatedMedia: true}`;

describe("the assessment of an installed matrix-media-repo", function () {
    this.timeout(60_000);

    it("finds nothing where it can take the media", async () => {
        expect(await found(frozen)).to.deep.equal([]);
        expect(await found(known, "empty")).to.deep.equal([]);
    });

    it("finds media that is longer than it takes, before anything changes", async () => {
        const findings = await found(`${frozen}\nuploads: {maxBytes: 499}`);
        expect(ids(findings)).to.deep.equal(["SM-E0531 error"]);
        expect(findings[0]?.evidence).to.contain("uploads.maxBytes is 499");
        expect(await found(`${frozen}\nuploads: {maxBytes: 500}`)).to.deep.equal([]);
    });

    it("finds that it does not serve the homeserver, or cannot be used", async () => {
        expect(ids(await found("homeservers: [{name: elsewhere.test}]"))).to.deep.equal(["SM-E0530 error"]);
        expect(ids(await found("datastores: []"))).to.deep.equal(["SM-E0532 error"]);
    });

    it("warns that media would lose the protection of a token", async () => {
        const findings = await found(known);
        expect(ids(findings)).to.deep.equal(["SM-W0534 warning"]);
        expect(findings[0]?.evidence).to.contain("1 media");
    });

    it("says nothing of a target without one", async () => {
        const cluster = await testCluster();
        const name = await cluster.createDatabase();
        expect(await findingsOf(mediaRepoChecks, "media-repository", cluster.address(name))).to.deep.equal([]);
    });
});
