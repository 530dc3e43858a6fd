import { expect } from "chai";
import { z } from "zod";
import { bundleSources, declare, type Setting } from "./stacks.ts";

describe("what the probe is told of the database", () => {
    const told = async (changes: Readonly<Record<string, Setting>>): Promise<unknown> => {
        const { recording } = await declare({ phase: "migrate", ...changes });
        return z.looseObject({ known: z.unknown().optional() }).parse(recording.spec("probe")).known;
    };

    it("is where it is and whether media may be missing, of a source that comes as files and has a test account", async () => {
        expect(await told({ source: bundleSources.backup })).to.include({ mayLackMedia: false });
        expect(await told({ source: bundleSources.backup })).to.have.property("database");
        expect(await told({ source: { ...bundleSources.backup, media: undefined } })).to.include({
            mayLackMedia: true,
        });
        const acceptMissingMedia = `1:${"0a".repeat(32)}`;
        expect(await told({ source: bundleSources.backup, acceptMissingMedia })).to.include({ mayLackMedia: true });
    });

    it("is nothing where the account could leave something to look for, or where there is none", async () => {
        expect(await told({})).to.equal(undefined);
        const noCanary = { canaryUser: undefined, canaryPassword: undefined };
        expect(await told({ source: bundleSources.backup, ...noCanary })).to.equal(undefined);
    });
});
