import { expect } from "chai";
import { purgeRemoteMediaContract } from "../../contract/index.ts";
import { bundleSources, declare } from "./stacks.ts";

describe("cached media of other servers", () => {
    it("are forgotten by the started target, before it is committed, where they do not come along", async () => {
        const { recording } = await declare({ phase: "cutover", remoteMedia: "drop" });
        const spec = purgeRemoteMediaContract.spec.parse(recording.spec("purge-remote-media"));
        expect(spec).to.deep.include({ mediaStore: "/srv/target/media_store", baseUrl: "http://127.0.0.1:18008" });
        expect(spec).to.include({ canaryFile: "/srv/work/runs/r1/canary.json", canaryUser: "canary" });
        expect([...recording.before("purge-remote-media")]).to.include.members(["start", "swap"]);
        expect([...recording.before("commit")]).to.include("purge-remote-media");
    });

    it("are left to the target where they come along", async () => {
        const { recording } = await declare({ phase: "cutover" });
        expect(recording.names).not.to.include("purge-remote-media");
    });

    it("are forgotten by a target that was made from files, too", async () => {
        const changes = { source: bundleSources.backup, remoteMedia: "drop", phase: "migrate" };
        const { recording } = await declare({ ...changes, macaroonSecretKey: undefined });
        expect(recording.names).to.include("purge-remote-media");
    });
});
