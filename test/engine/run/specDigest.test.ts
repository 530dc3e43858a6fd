import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect } from "chai";
import { specDigest } from "../../../engine/run/specDigest.ts";
import { withWorkDirectory } from "../../support/workDirectory.ts";

const provider = {
    kind: "s3",
    bucket: "media",
    prefix: "",
    accessKeyId: "AKIAIOSFODNN7EXAMPLE",
    secretAccessKey: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
};
const spec = {
    run: { id: "r1", directory: "/srv/run" },
    mediaStore: "/srv/media",
    mediaStorageProvider: provider,
};

async function digestOf(value: unknown, key = Buffer.alloc(32, 7)): Promise<string> {
    return withWorkDirectory(async (directory) => {
        await mkdir(directory);
        await writeFile(join(directory, "digest.key"), key, { mode: 0o600 });
        return specDigest(value, join(directory, "digest.key"));
    });
}

describe("the digest of a specification", () => {
    it("is what it always was: a step of a stack in use that is done must not be refused as done otherwise", async () => {
        expect(await digestOf({ version: 1, spec })).to.equal(
            "2d308d6263ee96bc7fb0f9a40370d5a27a4719c794f09e5b81eba5d4afbb3dcc",
        );
    });

    it("is the same in whatever order the fields come", async () => {
        const turned = Object.fromEntries(Object.entries(spec).reverse());
        expect(await digestOf(turned)).to.equal(await digestOf(spec));
    });

    it("is another one for another secret, and for another run's key", async () => {
        const other = { ...spec, mediaStorageProvider: { ...provider, secretAccessKey: "another" } };
        expect(await digestOf(other)).not.to.equal(await digestOf(spec));
        expect(await digestOf(spec, Buffer.alloc(32, 8))).not.to.equal(await digestOf(spec));
    });
});
