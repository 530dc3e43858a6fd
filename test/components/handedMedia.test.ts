import { expect } from "chai";
import {
    assessContract,
    configureContract,
    gatewayContract,
    handMediaContract,
    probeContract,
    verifyContract,
} from "../../contract/index.ts";
import { expectError } from "../support/expectError.ts";
import { bundleSources, declare, target } from "./stacks.ts";

const media = {
    kind: "mediaRepo",
    importer: "/opt/media-repo/gdpr_import",
    config: "/etc/media-repo.yaml",
    directory: "/srv/hand",
    baseUrl: "http://127.0.0.1:8000",
};
const handed = { phase: "cutover", remoteMedia: "drop", target: { ...target, media } };

describe("a target whose media are in matrix-media-repo", () => {
    it("gets them handed over after the fence, and no copy of the store", async () => {
        const { recording } = await declare(handed);
        expect(recording.names).not.to.include.members(["media-early"]);
        expect(recording.names).not.to.include.members(["media-final"]);
        const spec = handMediaContract.spec.parse(recording.spec("hand-media"));
        expect(spec.fenceToken).to.equal("c".repeat(64));
        expect(spec.mediaRepo).to.deep.equal({ ...media, machineId: 1, deadlineHours: 24, disposable: false });
        expect([...recording.before("verify")]).to.include("hand-media");
        const verify = verifyContract.spec.parse(recording.spec("verify"));
        expect(verify.handedMedia).to.deep.include({ config: "/etc/media-repo.yaml" });
        expect(verify.mediaTreeDigest).to.equal(undefined);
    });

    it("is assessed, configured, reached and probed as one that does not serve media itself", async () => {
        const { recording } = await declare(handed);
        expect(assessContract.spec.parse(recording.spec("assess")).mediaRepo).to.deep.include({ kind: "mediaRepo" });
        expect(configureContract.spec.parse(recording.spec("configure")).mediaServer).to.equal("external");
        expect(gatewayContract.spec.parse(recording.spec("gateway")).mediaUpstream).to.equal(media.baseUrl);
        expect(probeContract.spec.parse(recording.spec("probe")).mediaServer).to.deep.equal({ baseUrl: media.baseUrl });
        expect(recording.names).not.to.include("purge-remote-media");
    });

    it("gets those of files once their rows are loaded", async () => {
        const changes = { ...handed, source: bundleSources.backup, macaroonSecretKey: undefined };
        const { recording } = await declare({ ...changes, phase: "migrate" });
        const spec = handMediaContract.spec.parse(recording.spec("hand-media"));
        expect(spec.loaded).to.deep.include({ incoming: "synapse_incoming_r1" });
        expect(recording.names).not.to.include("import-media");
        expect([...recording.before("hand-media")]).to.include("import");
    });

    it("gets those of a rehearsal only into a matrix-media-repo for rehearsals, after the database", async () => {
        const disposable = {
            ...handed,
            rehearsal: "true",
            target: { ...target, media: { ...media, disposable: true } },
        };
        const { recording } = await declare(disposable);
        expect([...recording.before("hand-media")]).to.include("copy");
        const error = await expectError("SM-E0211", () => declare({ ...handed, rehearsal: "true" }));
        expect(error.detail.where).to.contain("target.media.disposable");
    });

    it("fetches other servers' media itself, and is told to", async () => {
        const error = await expectError("SM-E0211", () => declare({ ...handed, remoteMedia: "carry" }));
        expect(error.detail.where).to.contain("remoteMedia");
    });
});
