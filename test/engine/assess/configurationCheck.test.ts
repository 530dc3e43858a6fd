import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdir, mkdtemp, readdir, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import type { Finding } from "../../../contract/index.ts";
import { configurationFindings } from "../../../engine/assess/configurationCheck.ts";
import { readHomeserverConfig } from "../../../engine/synapse/config/homeserverConfig.ts";
import { tryConfiguration } from "../../../engine/synapse/config/triedConfiguration.ts";
import { readHomeserverSecrets } from "../../../engine/synapse/secrets/homeserverSecrets.ts";
import { targetPython } from "../../support/bundle.ts";
import { makeSource, plainConfig, type SourceFixture } from "../synapse/sourceFixture.ts";

const ldap = `password_providers:
  - module: ldap_auth_provider.LdapAuthProvider
    config: {enabled: true, uri: "ldap://127.0.0.1", base: x, attributes: {uid: cn, mail: mail, name: sn}}
`;
const oidc = `oidc_providers:
  - {idp_id: kc, idp_name: SSO, issuer: "https://sso.example.org/", client_id: synapse, client_secret: oidc-client-secret, scopes: [openid], user_mapping_provider: {config: {localpart_template: "{{ user.preferred_username }}"}}}
`;
const urlPreviews = "url_preview_enabled: true\nurl_preview_ip_range_blacklist: ['127.0.0.0/8']\n";
const asRoot = process.geteuid?.() === 0;

describe("the target's Synapse loads the configuration that it will be started with", function () {
    this.timeout(120_000);
    let python = "";
    const sources: SourceFixture[] = [];
    before(async () => {
        python = await targetPython();
    });
    afterEach(async () => {
        for (const source of sources.splice(0)) await source.remove();
    });
    const leftBehind = async (): Promise<string[]> =>
        (await readdir(tmpdir())).filter((name) => name.startsWith(`synapse-migration-config-${process.pid}-`));

    async function made(more: string | ((directory: string) => string)): Promise<SourceFixture> {
        const source = await makeSource((directory) =>
            plainConfig(directory, typeof more === "string" ? more : more(directory)),
        );
        sources.push(source);
        return source;
    }

    async function findings(
        { source, targetDirectory, configFile }: SourceFixture,
        { rehearsal = false, targetPython = python } = {},
    ): Promise<Finding[]> {
        const config = await readHomeserverConfig([configFile]);
        const spec = {
            ...{ run: { directory: "/nowhere" }, source, targetDirectory, targetPython, rehearsal },
            ...{ quick: false, enforce: false },
        };
        const found = await configurationFindings({ spec, config, secrets: await readHomeserverSecrets(config) });
        expect(await leftBehind()).to.deep.equal([]);
        return found;
    }
    const ids = (found: readonly Finding[]): string[] => found.map(({ id }) => id);

    it("finds nothing in one that it can be started with, and makes nothing where the target will be", async () => {
        const source = await made(
            "enable_registration: false\nmacaroon_secret_key: a-macaroon-secret\npassword_config: {pepper: pepper-9d1f}\n",
        );
        expect(await findings(source)).to.deep.equal([]);
        expect(await stat(source.targetDirectory).catch(() => "absent")).to.equal("absent");
    });

    it("names every package that is missing with its pip line, each once: LDAP, OIDC, URL previews (SM-E0525)", async () => {
        const found = await findings(await made(ldap + oidc + urlPreviews));
        expect(ids(found)).to.deep.equal(["SM-E0525", "SM-E0525", "SM-E0525"]);
        const fixes = found.map(({ fix }) => fix).join("\n");
        expect(fixes).to.contain(`${python} -m pip install matrix-synapse-ldap3`);
        expect(fixes).to.match(/pip install "matrix-synapse\[oidc\]==\d[^"]*"/);
        expect(fixes).to.match(/pip install "matrix-synapse\[url-preview\]==\d[^"]*"/);
        const text = found.map(({ evidence }) => evidence).join("\n");
        expect(text).to.contain("password_providers").and.to.contain("No module named 'ldap_auth_provider'");
        expect(text).to.contain("as it is moved").and.not.to.contain("as it is rehearsed");
    });

    it("names the same of a module, of sentry, of tokens of another issuer and of SAML, and says what cannot be known", async () => {
        const found = await findings(
            await made(`modules: [{module: somebodys_module.Checker, config: {}}]
sentry: {dsn: "https://x@sentry.example.org/1"}
jwt_config: {enabled: true, secret: jwt-secret-value, algorithm: HS256}
`),
        );
        expect(ids(found)).to.deep.equal(["SM-E0525", "SM-E0525", "SM-E0525"]);
        const fixes = found.map(({ fix }) => fix).join("\n");
        expect(fixes).to.contain("<the package that has the Python module somebodys_module>");
        expect(fixes).to.contain("matrix-synapse[sentry]").and.to.contain("matrix-synapse[jwt]");
    });

    it("says what a rehearsal's isolation would hide, and what both forms have, once (SM-E0524)", async () => {
        const source = await made(`${ldap}enable_registration: true\n`);
        const found = await findings(source, { rehearsal: true });
        expect(ids(found).sort()).to.deep.equal(["SM-E0524", "SM-E0525"]);
        const open = found.find(({ id }) => id === "SM-E0524")?.evidence;
        expect(open).to.contain("as it is rehearsed and as it is moved: ").and.to.contain("open registration");
        const hidden = found.find(({ id }) => id === "SM-E0525")?.evidence;
        expect(hidden).to.contain("as it is moved").and.not.to.contain("as it is rehearsed");
    });

    it("has Synapse's own words for a value that it does not take, and goes on to the next one", async () => {
        const found = await findings(
            await made(
                "max_upload_size: ten\nuser_consent: {version: 1}\nmedia_retention: {local_media_lifetime: x}\n",
            ),
        );
        expect(found.length).to.be.greaterThan(1);
        expect(new Set(ids(found))).to.deep.equal(new Set(["SM-E0524"]));
        const text = found.map(({ evidence }) => evidence).join();
        expect(text).to.contain("max_upload_size").and.to.contain("template_dir");
    });

    it("reads registrations of application services as the start does, and quotes no token", async () => {
        const registration = (id: string): string =>
            `id: ${id}\nurl: null\nas_token: the-token-of-both-bridges\nhs_token: another-token\nsender_localpart: ${id}\nnamespaces: {}\n`;
        const source = await made("app_service_config_files: [a.yaml, b.yaml]\n");
        for (const name of ["a", "b"]) await writeFile(join(source.directory, `${name}.yaml`), registration(name));
        const found = await findings(source);
        expect(ids(found)).to.deep.equal(["SM-E0524"]);
        expect(found[0]?.evidence).to.contain("Cannot reuse as_token").and.to.contain(`${source.directory}/b.yaml`);
        expect(JSON.stringify(found)).not.to.contain("the-token-of-both");
        // A rehearsal has none of them.
        expect((await findings(source, { rehearsal: true })).map(({ evidence }) => evidence).join()).not.to.contain(
            "as it is rehearsed",
        );
    });

    it("quotes no secret, in whole or cut, of what is refused", async () => {
        const secret = "a-secret-of-which-nothing-is-to-be-seen-anywhere";
        const found = await findings(
            await made(`matrix_authentication_service: {enabled: true, endpoint: [], secret: "${secret}"}
oidc_providers: [{idp_id: "!", idp_name: x, client_secret: ${secret}}]
`),
        );
        expect(found.length).to.be.greaterThan(0);
        expect(JSON.stringify(found)).not.to.contain("a-secret-of-which").and.not.to.contain("seen-anywhere");
    });

    it("says as the reader of the configuration does that a file it refers to is missing", async () => {
        const found = await findings(await made("templates: {custom_template_directory: /no/such/templates}\n"));
        expect(ids(found)).to.deep.equal(["SM-E0231"]);
    });

    it("has Synapse itself say which PostgreSQL is too old for it", async () => {
        const source = await made("");
        const config = await readHomeserverConfig([source.configFile]);
        const tried = {
            ...{ source: source.source, config, secrets: await readHomeserverSecrets(config), python },
            ...{ targetDirectory: source.targetDirectory, servesMedia: true },
        };
        const said = async (serverMajor: number): Promise<string> =>
            JSON.stringify((await tryConfiguration({ ...tried, serverMajor }, [false])).tried);
        expect(await said(9)).to.contain("requires PostgreSQL");
        expect(await said(18)).to.contain('"problems":[]');
    });

    it("says SM-E0526 where the user that the servers run as cannot run it, and where there is no Synapse", async function () {
        if (!asRoot) return void this.skip();
        const source = await made("");
        const closed = await mkdtemp(join(tmpdir(), "closed-"));
        try {
            await symlink(python, join(closed, "python"));
            expect(await findings(source, { targetPython: join(closed, "python") })).to.have.length(1);
            const [found] = await findings(source, { targetPython: join(closed, "python") });
            expect(found?.id).to.equal("SM-E0526");
            await chmod(closed, 0o755);
            await writeFile(join(closed, "none"), '#!/bin/sh\nexec /usr/bin/env python3 "$@"\n', { mode: 0o755 });
            const [none] = await findings(source, { targetPython: join(closed, "none") });
            expect(none?.id).to.equal("SM-E0526");
            expect(none?.evidence).to.contain("No module named 'synapse'");
        } finally {
            await rm(closed, { recursive: true });
        }
    });

    it("removes what an attempt that was killed has left", async () => {
        const child = spawn("true");
        await once(child, "exit");
        const left = join(tmpdir(), `synapse-migration-config-${child.pid ?? 0}-1-killed`);
        await mkdir(left);
        await writeFile(join(left, "secrets.yaml"), "secret");
        await findings(await made(""));
        expect(await stat(left).catch(() => "absent")).to.equal("absent");
    });
});
