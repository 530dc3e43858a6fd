import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { stringify } from "yaml";
import type { SelfHostedSource } from "../../../contract/index.ts";
import type { MovedIdentity } from "../../../engine/installed/identitySettings.ts";
import {
    removeIdentity,
    requireIdentity,
    requireWritten,
    setDoor,
    writeIdentity,
} from "../../../engine/installed/writtenIdentity.ts";
import { readSourceConfig } from "../../../engine/synapse/config/sourceConfig.ts";
import type { GivenSecrets } from "../../../engine/synapse/secrets/compareSecrets.ts";
import { parseSigningKeys } from "../../../engine/synapse/secrets/signingKey.ts";
import { makeIdentity } from "../../../rehearsal/source/identity.ts";
import { expectError } from "../../support/expectError.ts";

describe("the identity of an installed homeserver", () => {
    let directory: string;
    let run: string;
    const at = (path: string): string => join(directory, path);
    const source = makeIdentity();
    const own = makeIdentity();
    const moved: MovedIdentity = {
        signingKey: source.signingKey,
        secrets: {
            macaroon_secret_key: source.identity.macaroonSecretKey,
            password_config: { pepper: source.identity.pepper },
        },
        oldSigningKeys: {},
    };
    const given: GivenSecrets = {
        signingKeys: parseSigningKeys(source.signingKey, "test"),
        pepper: source.identity.pepper,
        macaroonSecretKey: source.identity.macaroonSecretKey,
    };
    const deployment = (...homeserverConfig: string[]): SelfHostedSource => ({
        ...{ kind: "selfHosted", serverName: "a.test", machine: { kind: "local" }, homeserverConfig },
        service: { kind: "process", pidFile: at("homeserver.pid") },
    });
    const clientPort = async (one: SelfHostedSource): Promise<number | undefined> =>
        (await readSourceConfig(one)).listeners[0]?.port;
    const content = async (): Promise<Record<string, string>> => {
        const names = (await readdir(at("etc"), { recursive: true, withFileTypes: true })).filter((one) =>
            one.isFile(),
        );
        const texts = names.map(async ({ parentPath, name }) => {
            const path = join(parentPath, name);
            return [path, await readFile(path, "utf8")] as const;
        });
        return Object.fromEntries((await Promise.all(texts)).sort());
    };

    beforeEach(async () => {
        directory = await mkdtemp(join(tmpdir(), "synapse-migration-identity-"));
        run = at("run");
        for (const made of ["run", "etc", "etc/conf.d", "media"]) await mkdir(at(made), { mode: 0o700 });
        await writeFile(at("etc/signing.key"), own.signingKey, { mode: 0o640 });
        await writeFile(at("etc/conf.d/server_name.yaml"), "server_name: a.test\n");
        await writeFile(
            at("etc/homeserver.yaml"),
            `# The installer's.\n${stringify({
                ...own.settings,
                ...{ signing_key_path: at("etc/signing.key"), media_store_path: at("media") },
                database: { name: "psycopg2", args: { user: "synapse", database: "synapse", password: "p" } },
                listeners: [{ port: 8008, type: "http", resources: [{ names: ["client"] }], bind_addresses: ["::"] }],
            })}`,
        );
    });
    afterEach(() => rm(directory, { recursive: true }));

    for (const [where, config] of [
        ["beside its configuration, where that is a directory", ["etc/homeserver.yaml", "etc/conf.d"]],
        ["in its own file, where there is nothing else", ["etc/conf.d/server_name.yaml", "etc/homeserver.yaml"]],
    ] as const)
        it(`is written ${where}, with a closed door; opened; and taken back to the letter`, async () => {
            const installed = deployment(...config.map(at));
            const before = await content();
            // Twice: an attempt may have been killed after all of it.
            for (let attempt = 0; attempt < 2; attempt++)
                await writeIdentity(installed, moved, { run: "r1", directory: run });
            await requireIdentity(installed, given);
            expect(await clientPort(installed)).to.be.within(18_008, 18_200);
            await setDoor(installed, "open", run);
            await requireIdentity(installed, given);
            expect(await clientPort(installed)).to.equal(8008);
            await setDoor(installed, "closed", run);
            expect(await clientPort(installed)).not.to.equal(8008);
            await requireWritten(installed, run);
            expect((await content())[at("etc/homeserver.yaml")]).to.contain("# The installer's.\n");
            expect(await removeIdentity(installed, run)).to.deep.equal([]);
            expect(await content()).to.deep.equal(before);
            expect(await readdir(run)).to.deep.equal([]);
        });

    it("is written by a newer run over what an older one wrote, and what is put back is the installer's", async () => {
        const installed = deployment(at("etc/homeserver.yaml"), at("etc/conf.d"));
        const before = await content();
        const rotated = makeIdentity();
        const older = { ...moved, signingKey: rotated.signingKey, secrets: { macaroon_secret_key: "older" } };
        await writeIdentity(installed, older, { run: "r1", directory: run });
        await writeIdentity(installed, moved, { run: "r2", directory: run });
        await requireIdentity(installed, given);
        await setDoor(installed, "open", run);
        expect(await clientPort(installed)).to.equal(8008);
        await removeIdentity(installed, run);
        expect(await content()).to.deep.equal(before);
    });

    it("is refused where a file that is read later says otherwise", async () => {
        const installed = deployment(at("etc/homeserver.yaml"), at("etc/conf.d"));
        await writeFile(at("etc/conf.d/zzz.yaml"), stringify({ password_config: { pepper: "the installer's" } }));
        await writeIdentity(installed, moved, { run: "r1", directory: run });
        const { detail } = await expectError("SM-E1603", () => requireIdentity(installed, given));
        expect(detail.found).to.match(/pepper/);
        expect(detail.found).not.to.contain("the installer's").and.not.to.contain(source.identity.pepper);
    });

    it("is not started with once an installer has written its file anew", async () => {
        const installed = deployment(at("etc/conf.d/server_name.yaml"), at("etc/homeserver.yaml"));
        await writeIdentity(installed, moved, { run: "r1", directory: run });
        await writeFile(at("etc/homeserver.yaml"), "server_name: a.test\n");
        await expectError("SM-E1602", () => requireWritten(installed, run));
        await expectError("SM-E1602", () => setDoor(installed, "open", run));
    });
});
