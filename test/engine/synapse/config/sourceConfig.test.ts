import { expect } from "chai";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { BundleSource } from "../../../../contract/index.ts";
import { secrets } from "../../../../steps/stage/secrets.ts";
import { requirePostgres } from "../../../../engine/synapse/config/homeserverConfig.ts";
import { parseSynapseYaml } from "../../../../engine/synapse/config/pythonYaml.ts";
import { readSourceConfig } from "../../../../engine/synapse/config/sourceConfig.ts";
import { expectError } from "../../../support/expectError.ts";
import { makeSource, plainConfig, seed, signingKeyLine, testRun, type SourceFixture } from "../sourceFixture.ts";

const old = { "ed25519:a_old": { key: "Y2FuIGJlIHJlYWQgYnkgZXZlcnlib2R5", expired_ts: 1_700_000_000_000 } };

describe("the configuration of a source that comes as files", () => {
    let fixture: SourceFixture | undefined;
    afterEach(async () => {
        await fixture?.remove();
        fixture = undefined;
    });

    const bundle = (more: Partial<BundleSource> = {}): BundleSource => ({
        ...{ kind: "emsExport", serverName: "example.org", database: ["/srv/export/dump.sql"] },
        ...more,
    });
    const configured = async (more = "", change: (text: string) => string = (text) => text): Promise<string[]> => {
        await fixture?.remove();
        fixture = await makeSource((directory) => change(plainConfig(directory, more)));
        return [fixture.configFile];
    };

    it("is Synapse's defaults where none came, with registration closed and thumbnails made when asked for", async () => {
        const config = await readSourceConfig(bundle());
        expect(config).to.include({ serverName: "example.org", pepper: undefined });
        expect(config.sections).to.include({
            enable_registration: false,
            report_stats: false,
            dynamic_thumbnails: true,
        });
        expect(config.files).to.deep.equal([]);
    });

    it("is what the files say, with the defaults of nobody", async () => {
        const homeserverConfig = await configured("enable_registration: true\nmax_upload_size: 100M\n");
        const { sections } = await readSourceConfig(bundle({ homeserverConfig }));
        expect(sections).to.include({ enable_registration: true, max_upload_size: "100M" });
        expect(sections).to.not.have.property("dynamic_thumbnails");
    });

    it("takes any database for granted: the dump is what counts", async () => {
        const sqlite = (text: string): string => text.replace(/name: psycopg2[^]*?sslmode: disable}/, "name: sqlite3");
        const homeserverConfig = await configured("", sqlite);
        const config = await readSourceConfig(bundle({ homeserverConfig }));
        expect(requirePostgres(config)).to.include({ kind: "postgres" });
        const kept = await readSourceConfig(bundle({ homeserverConfig: await configured() }));
        expect(requirePostgres(kept)).to.include({ name: "synapse", user: "synapse_user" });
    });

    it("has the old signing keys of both, and those of the stack where both have one", async () => {
        const before =
            "old_signing_keys:\n  'ed25519:older': {key: aGVsbG8, expired_ts: 1}\n  'ed25519:a_old': {key: aGVsbG8, expired_ts: 1}\n";
        const homeserverConfig = await configured(before);
        const config = await readSourceConfig(bundle({ homeserverConfig, oldSigningKeys: old }));
        expect(config.oldSigningKeys).to.deep.equal({
            "ed25519:older": { key: "aGVsbG8", expiredTs: 1 },
            "ed25519:a_old": { key: old["ed25519:a_old"].key, expiredTs: old["ed25519:a_old"].expired_ts },
        });
        expect((await readSourceConfig(bundle({ oldSigningKeys: old }))).oldSigningKeys).to.have.all.keys(
            "ed25519:a_old",
        );
    });

    it("is refused when it is that of another server", async () => {
        const homeserverConfig = await configured();
        const error = await expectError("SM-E0801", () =>
            readSourceConfig(bundle({ serverName: "other.org", homeserverConfig })),
        );
        expect(error.detail).to.include({ found: "server_name example.org", expected: "other.org" });
    });

    describe("and its secrets", () => {
        const targetDirectory = async (): Promise<string> => {
            if (fixture === undefined) await configured();
            return fixture?.targetDirectory ?? "";
        };
        const written = async (given: { pepper?: string; macaroonSecretKey?: string }, source: BundleSource) => {
            const spec = {
                run: { id: "run1", directory: "/nonexistent" },
                ...{ source, targetDirectory: await targetDirectory(), signingKey: `${signingKeyLine}\n` },
                ...given,
            };
            const { run, said, evidence } = testRun();
            const { secretsFile } = await secrets.act(spec, run);
            return {
                sections: parseSynapseYaml("secrets.yaml", await readFile(secretsFile, "utf8"))?.sections,
                said,
                evidence,
            };
        };

        it("are those that were given, and not those of a server that was only installed to be moved to", async () => {
            const more =
                "macaroon_secret_key: of-the-installer\nregistration_shared_secret: shared-7be1\npassword_config: {policy: {enabled: true}}\n";
            const homeserverConfig = await configured(more);
            const given = { pepper: "pe pper", macaroonSecretKey: "given-macaroon" };
            const { sections } = await written(given, bundle({ homeserverConfig }));
            expect(sections).to.deep.include({ macaroon_secret_key: "given-macaroon" });
            expect(sections?.["password_config"]).to.deep.equal({ policy: { enabled: true }, pepper: "pe pper" });
        });

        it("have the configuration's macaroon secret where none was given, and say so", async () => {
            const homeserverConfig = await configured("macaroon_secret_key: of-the-backup\n");
            const { sections, evidence } = await written({}, bundle({ homeserverConfig }));
            expect(sections).to.include({ macaroon_secret_key: "of-the-backup" });
            expect(evidence.at(-1)).to.include({ macaroonSecret: "configuration" });
        });

        it("are refused where the configuration has another pepper than the given one, which neither is written for", async () => {
            for (const [pepper, found] of [
                ["0th3r-p3pper", /another one there than the stack's$/],
                ["given ", /white space/],
            ] as const) {
                const homeserverConfig = await configured(`password_config: {pepper: "${pepper}"}\n`);
                const error = await expectError("SM-E0820", () =>
                    written({ pepper: "given" }, bundle({ homeserverConfig })),
                );
                expect(error.detail.found).to.match(found);
                expect(error.block).to.not.include("0th3r");
            }
        });

        it("have a pepper once that is the configuration's, too", async () => {
            const homeserverConfig = await configured("password_config: {pepper: given, policy: {enabled: true}}\n");
            const { sections } = await written({ pepper: "given" }, bundle({ homeserverConfig }));
            expect(sections?.["password_config"]).to.deep.equal({ pepper: "given", policy: { enabled: true } });
        });

        it("need no configuration at all", async () => {
            const { sections } = await written({ pepper: "given", macaroonSecretKey: "m" }, bundle());
            expect(sections).to.deep.equal({ password_config: { pepper: "given" }, macaroon_secret_key: "m" });
            expect(await readFile(join(await targetDirectory(), "example.org.signing.key"), "utf8")).to.contain(seed);
        });

        it("are refused where the configuration has a pepper, and none is given or an empty one", async () => {
            const homeserverConfig = await configured("password_config: {pepper: forgotten-3c2d}\n");
            for (const given of [{}, { pepper: "" }])
                await expectError("SM-E0820", () => written(given, bundle({ homeserverConfig })));
        });

        it("come with a warning of a pepper that ends in white space", async () => {
            const { said } = await written({ pepper: "given\n" }, bundle());
            expect(said.join("\n")).to.contain("SM-W0821");
        });
    });
});
