import { expect } from "chai";
import fc from "fast-check";
import {
    carriedFolders,
    isStoreName,
    localContentPath,
    localThumbnailPath,
    mediaIdOf,
} from "../../../engine/media/layout.ts";

describe("the layout of a media store", () => {
    it("puts media and thumbnails where Synapse does", () => {
        expect(localContentPath("AbCdEfGhIjKlMnOpQrStUvWx")).to.equal("local_content/Ab/Cd/EfGhIjKlMnOpQrStUvWx");
        const thumbnail = { mediaId: "AbCdEfGh", width: 32, height: 96, type: "image/png", method: "crop" };
        expect(localThumbnailPath(thumbnail)).to.equal("local_thumbnails/Ab/Cd/EfGh/32-96-image-png-crop");
    });

    it("finds the media id of every path it makes", () => {
        const ids = fc.stringMatching(/^[A-Za-z0-9_\-.[\]:]{5,40}$/);
        fc.assert(
            fc.property(ids, (id) => {
                const path = localContentPath(id);
                if (path !== undefined) expect(mediaIdOf(path)).to.equal(id);
            }),
        );
    });

    it("never makes a path that leaves the store, whatever a database claims", () => {
        fc.assert(
            fc.property(fc.string(), (id) => {
                const names = localContentPath(id)?.split("/") ?? [];
                expect(names.some((name) => !isStoreName(name))).to.equal(false);
            }),
        );
        for (const id of [
            "..",
            "....secret",
            "ab..passwd/x",
            "abcd../../../etc/passwd",
            "",
            "abcd",
            "ab\ncdef",
            "abcd\0x",
        ]) {
            expect(localContentPath(id), id).to.equal(undefined);
        }
        const unsafe = { mediaId: "AbCdEfGh", width: 1, height: 1, method: "crop" };
        expect(localThumbnailPath({ ...unsafe, type: "image/png/../../x" })).to.equal(undefined);
        expect(localThumbnailPath({ ...unsafe, type: "image/.. /x" })).to.equal(undefined);
    });

    it("knows no media id for other paths", () => {
        for (const path of [
            "local_content/ab/cd",
            "local_content/ab/cd/ef/gh",
            "local_thumbnails/ab/cd/ef",
            "local_content/abc/d/ef",
        ]) {
            expect(mediaIdOf(path), path).to.equal(undefined);
        }
    });

    it("carries other servers' media only when that is asked for", () => {
        expect(carriedFolders("drop")).to.deep.equal(["local_content", "local_thumbnails"]);
        expect(carriedFolders("carry")).to.include.members(["remote_content", "remote_thumbnail"]);
    });
});
