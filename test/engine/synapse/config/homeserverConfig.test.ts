import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { readHomeserverConfig, requirePostgres } from "../../../../engine/synapse/config/homeserverConfig.ts";
import { readSourceConfig } from "../../../../engine/synapse/config/sourceConfig.ts";
import { expectError } from "../../../support/expectError.ts";
import { makeSource, plainConfig } from "../sourceFixture.ts";

describe("reading a homeserver's configuration", () => {
    let directory: string;
    beforeEach(async () => {
        directory = await mkdtemp(join(tmpdir(), "synapse-config-"));
    });
    afterEach(() => rm(directory, { recursive: true, force: true }));

    const write = async (name: string, text: string): Promise<string> => {
        const path = join(directory, name);
        await writeFile(path, text);
        return path;
    };
    const reading = async (text: string) => readHomeserverConfig([await write("homeserver.yaml", text)]);
    const plain = (more = ""): string => plainConfig(directory, more);

    it("takes what a migration depends on", async () => {
        const config = await reading(
            plain(
                "public_baseurl: https://matrix.example.org/\nold_signing_keys:\n  'ed25519:old': {key: aGVsbG8, expired_ts: 1600000000000}\n" +
                    "log_config: /etc/log.yaml\napp_service_config_files: [/etc/bridge.yaml]\npassword_config: {pepper: ''}\nform_secret: fffffff\n",
            ),
        );
        expect(config.serverName).to.equal("example.org");
        expect(requirePostgres(config)).to.include({
            host: "127.0.0.1",
            port: 5433,
            name: "synapse",
            user: "synapse_user",
            password: "source-database-password",
        });
        expect(config.mediaStorePath).to.equal(`${directory}/media`);
        expect(config.signingKey).to.deep.equal({ path: `${directory}/example.org.signing.key` });
        expect(config.oldSigningKeys).to.deep.equal({ "ed25519:old": { key: "aGVsbG8", expiredTs: 1600000000000 } });
        expect(config.pepper).to.equal("");
        expect(config.formSecret).to.deep.equal({ value: "fffffff" });
        expect(config.macaroonSecretKey).to.equal(undefined);
        expect(config.clientBaseUrl).to.equal("http://127.0.0.1:8008");
        expect(config.publicBaseUrl).to.equal("https://matrix.example.org/");
        expect(config.pidFile).to.equal(`${directory}/homeserver.pid`);
        expect(config.logConfig).to.equal("/etc/log.yaml");
        expect(config.origins["listeners"]).to.deep.equal({ file: join(directory, "homeserver.yaml"), line: 6 });
        expect(config.findings.map(({ id }) => id)).to.deep.equal(["SM-W0703"]);
    });

    it("tells an absent pepper from an empty one", async () => {
        expect((await reading(plain("password_config: {enabled: true}\n"))).pepper).to.equal(undefined);
        expect((await reading(plain("password_config:\n"))).pepper).to.equal(undefined);
    });

    it("B06: lets later files override earlier ones, as a whole, and warns with SM-W0204 of each key", async () => {
        await mkdir(join(directory, "conf.d"));
        await write("conf.d/b.yaml", "password_config: {pepper: from-b}\n");
        await write(
            "conf.d/a.yaml",
            "password_config: {pepper: from-a, localdb_enabled: false}\nform_secret: from-a\n",
        );
        await write("conf.d/c.yaml.bak", "form_secret: never\n");
        await write("conf.d/empty.yaml", "# nothing\n");
        const main = await write("homeserver.yaml", plain());
        const config = await readHomeserverConfig([main, join(directory, "conf.d")]);
        expect(config.pepper).to.equal("from-b");
        expect(config.sections["password_config"]).to.deep.equal({ pepper: "from-b" });
        expect(config.formSecret).to.deep.equal({ value: "from-a" });
        expect(config.directory).to.equal(join(directory, "conf.d"));
        expect(config.files).to.have.length(4);
        const overridden = config.findings.filter(({ id }) => id === "SM-W0204");
        expect(overridden).to.have.length(1);
        expect(overridden[0]?.evidence).to.equal(
            `password_config of ${directory}/conf.d/a.yaml:1 is overridden as a whole by ${directory}/conf.d/b.yaml:1`,
        );
    });

    it("B07: refuses a secret that is given inline and as a path, each with SM-E0205", async () => {
        for (const name of ["macaroon_secret_key", "registration_shared_secret", "form_secret"]) {
            const error = await expectError("SM-E0205", () =>
                reading(plain(`${name}: inline\n${name}_path: /etc/x\n`)),
            );
            expect(error.detail.found).to.equal(`both ${name} and ${name}_path`);
            expect(error.detail.where).to.match(/:13 and .*:14$/);
        }
        await expectError("SM-E0205", () => reading(plain(`signing_key: ed25519 a ${"A".repeat(43)}\n`)));
    });

    it("takes Synapse's defaults and libpq's", async () => {
        const config = await reading(
            "server_name: example.org\nreport_stats: false\ndatabase: {name: psycopg2, args: {user: syn}}\n",
        );
        expect(requirePostgres(config)).to.include({
            host: "/var/run/postgresql",
            port: 5432,
            name: "syn",
            password: undefined,
        });
        expect(config.mediaStorePath).to.equal(join(directory, "media_store"));
        expect(config.signingKey).to.deep.equal({ path: join(directory, "example.org.signing.key") });
        expect(config.clientBaseUrl).to.equal(undefined);
    });

    it("resolves relative paths against the directory Synapse was started in, or says what it assumed", async () => {
        const file = await write("homeserver.yaml", plain().replace(`${directory}/media`, "media"));
        const assumed = await readHomeserverConfig([file]);
        expect(assumed.mediaStorePath).to.equal(`${directory}/media`);
        expect(assumed.findings.map(({ id }) => id)).to.deep.equal(["SM-W0207"]);
        const known = await readHomeserverConfig([file], { workingDirectory: "/var/lib/synapse" });
        expect(known.mediaStorePath).to.equal("/var/lib/synapse/media");
        expect(known.findings).to.deep.equal([]);
    });

    it("finds SQLite and several databases, and requires PostgreSQL where it is needed", async () => {
        const withDatabase = (database: string): string =>
            plain().replace(/^database:[^]*sslmode: disable\}\n/m, database);
        const sqlite = await reading(withDatabase("database: {name: sqlite3, args: {database: /var/homeserver.db}}\n"));
        expect(sqlite.findings, "whether it can be moved depends on how").to.deep.equal([]);
        await expectError("SM-E0505", () => Promise.resolve().then(() => requirePostgres(sqlite)));
        const old = await reading(withDatabase("database_path: /var/homeserver.db\n"));
        expect(old.database).to.include({ kind: "sqlite", path: "/var/homeserver.db" });
        const several = await reading(
            withDatabase(
                "databases: {main: {name: psycopg2, args: {user: a}}, state: {name: psycopg2, args: {user: a}}}\n",
            ),
        );
        expect(several.findings.map(({ id }) => id)).to.deep.equal(["SM-E0704"]);
        const only = await reading(
            withDatabase(
                "databases: {main: {name: psycopg2, txn_limit: 7, args: {user: 5, password: 010, cp_min: 3}}}\n",
            ),
        );
        expect(requirePostgres(only)).to.include({ name: "5", user: "5", password: "8" });
        expect(only.findings).to.deep.equal([]);
        expect(only.sections).to.have.nested.property("database.args.cp_min", 3);
        await expectError("SM-E0704", () => Promise.resolve().then(() => requirePostgres(several)));
        for (const bad of [
            "",
            "database: {name: oracle}\n",
            "database: {name: psycopg2, args: {user: a, dbname: a, database: b}}\n",
            "database: {name: psycopg2, args: {user: a}}\ndatabases: {x: {name: psycopg2}}\n",
        ]) {
            await expectError("SM-E0206", () => reading(withDatabase(bad)));
        }
    });

    it("lists what it cannot carry, each with a way on", async () => {
        const { findings, workers } = await reading(
            plain(
                [
                    "matrix_authentication_service: {enabled: true, secret: abcdefgh}",
                    "modules: [{module: spam.Checker}]",
                    "media_storage_providers: [{module: file_system}]",
                    "enable_local_media_storage: false",
                    "instance_map: {main: {host: localhost, port: 1}, worker1: {host: localhost, port: 2}}",
                    "stream_writers: {events: worker1, typing: [worker2]}",
                    "worker_app: synapse.app.generic_worker",
                ].join("\n"),
            ),
        );
        expect(workers).to.deep.equal(["worker1", "worker2"]);
        expect(findings.map(({ id, severity }) => `${id} ${severity}`)).to.deep.equal([
            "SM-E0704 error",
            "SM-W0704 warning",
            "SM-W0704 warning",
            "SM-E0704 error",
            "SM-W0704 warning",
            "SM-E0704 error",
        ]);
        for (const { fix } of findings) expect(fix).not.to.equal("");
        const msc3861 = await reading(plain("experimental_features: {msc3861: {enabled: true}}\n"));
        expect(msc3861.findings.map(({ id }) => id)).to.deep.equal(["SM-E0704"]);
    });

    it("takes the media of a worker for what is in the media store, and not for what only a provider has", async () => {
        const worker = "enable_local_media_storage: false\nmedia_instance_running_background_jobs: media-repo-0\n";
        const { findings } = await reading(plain(worker));
        expect(findings.map(({ id, severity }) => `${id} ${severity}`)).to.deep.equal(["SM-W0704 warning"]);
        expect(findings[0]?.evidence).to.contain("media-repo-0").and.to.contain(`${directory}/media`);
        for (const main of ["", "media_instance_running_background_jobs: master\n"]) {
            const alone = await reading(plain(`enable_local_media_storage: false\n${main}`));
            expect(alone.findings.map(({ id }) => id)).to.deep.equal(["SM-E0704"]);
        }
    });

    it("refuses values that Synapse cannot use, all at once, and never shows them", async () => {
        const error = await expectError("SM-E0206", () =>
            reading(plain("macaroon_secret_key: 123456789\npassword_config: {pepper: 987654321}\n")),
        );
        expect(JSON.stringify(error.detail)).not.to.match(/123456789|987654321/);
        expect(error.detail.where).to.match(/homeserver\.yaml:14$/);
        await expectError("SM-E0206", () => reading(plain().replace("port: 8008", "port: many")));
        await expectError("SM-E0206", () => reading("report_stats: no\n"));
    });

    it("builds the client's base URL from the first http listener that serves clients", async () => {
        const url = async (listener: string) =>
            (await reading(plain().replace(/ {2}- \{type: http.*/, `  - ${listener}`))).clientBaseUrl;
        expect(
            await url("{type: http, port: 1, bind_addresses: ['::1'], tls: true, resources: [{names: [client]}]}"),
        ).to.equal("https://[::1]:1");
        expect(await url("{type: http, port: 1, bind_address: 0.0.0.0, resources: [{names: [client]}]}")).to.equal(
            "http://127.0.0.1:1",
        );
        expect(await url("{type: http, path: /run/s s.sock, resources: [{names: [client]}]}")).to.equal(
            "http+unix://%2Frun%2Fs%20s.sock",
        );
        expect(
            await url(
                "{type: http, path: /run/a.sock, resources: [{names: [client]}]}\n  - {type: http, port: 1, resources: [{names: [client]}]}",
            ),
        ).to.equal("http://127.0.0.1:1");
        expect(await url("{type: metrics, port: 1}")).to.equal(undefined);
    });

    it("refuses the configuration of another homeserver than the stack's with SM-E0801", async () => {
        const fixture = await makeSource(plainConfig);
        try {
            const config = await readSourceConfig({
                ...fixture.source,
                database: { host: "db.example.org", user: "migrator" },
                mediaStore: "/srv/media",
            });
            expect(requirePostgres(config)).to.include({ host: "db.example.org", user: "migrator", port: 5433 });
            expect(config.mediaStorePath).to.equal("/srv/media");
            const error = await expectError("SM-E0801", () =>
                readSourceConfig({ ...fixture.source, serverName: "example.com" }),
            );
            expect(error.detail).to.include({ found: "server_name example.org", expected: "example.com" });
        } finally {
            await fixture.remove();
        }
    });

    it("says which file is missing, not text, or has nothing in it", async () => {
        await expectError("SM-E0203", () => readHomeserverConfig([join(directory, "missing.yaml")]));
        await writeFile(join(directory, "latin1.yaml"), Buffer.from("a: \xe4\n", "latin1"));
        await expectError("SM-E0203", () => readHomeserverConfig([join(directory, "latin1.yaml")]));
        await mkdir(join(directory, "none"));
        const error = await expectError("SM-E0203", () => readHomeserverConfig([join(directory, "none")]));
        expect(error.detail.found).to.equal("no *.yaml file");
        await expectError("SM-E0203", () => reading("- a list\n"));
    });
});
