import { chown, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { serviceUserFindings } from "../../../engine/assess/serviceUserCheck.ts";
import { namedUser } from "../../../engine/machines/namedUser.ts";

const asRoot = process.geteuid?.() === 0;

describe("the assessment of the user that the target's servers run as", () => {
    let directory = "";
    beforeEach(async () => {
        directory = await mkdtemp(join(tmpdir(), "service-user-"));
    });
    afterEach(() => rm(directory, { recursive: true }));
    const found = async (user?: string, more: object = {}): Promise<string[]> =>
        (await serviceUserFindings({ targetDirectory: join(directory, "target"), user, ...more })).map(
            ({ id, evidence }) => `${id} ${evidence}`,
        );

    it("warns of one that others use with SM-W1209, and blocks one that is not fit with SM-E1208", async function () {
        if (!asRoot) return void this.skip();
        expect((await found("nobody")).join()).to.match(/^SM-W1209 .* run as nobody/);
        expect(await found("daemon")).to.deep.equal([]);
        expect((await found("root")).join()).to.match(/^SM-E1208 .*root/);
        expect((await found("no-such-user")).join()).to.match(/^SM-E1208 .*does not know/);
        expect(await found("nobody", { bundle: { programs: "/usr/bin" } })).to.deep.equal([]);
    });

    it("warns of a target that an earlier version has running as postgres", async function () {
        const postgres = await namedUser("postgres");
        if (!asRoot || postgres === undefined) return void this.skip();
        await mkdir(join(directory, "target"));
        await writeFile(join(directory, "target", ".configure.files.json"), "{}");
        await chown(join(directory, "target"), postgres.uid, postgres.gid);
        expect((await found("daemon")).join()).to.match(/^SM-W1209 .* run as postgres/);
    });

    it("refuses another user than ourselves with SM-E1208 where we are not root", async function () {
        if (asRoot) return void this.skip();
        expect((await found("root")).join()).to.match(/^SM-E1208 .*only root can/);
        expect(await found()).to.deep.equal([]);
    });
});
