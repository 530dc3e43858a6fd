import { chmod, mkdir, readFile, readdir, symlink, writeFile, stat, lstat } from "node:fs/promises";
import { join } from "node:path";
import { expect } from "chai";
import type { z } from "zod";
import { configure } from "../../../steps/stage/configure.ts";
import { configureContract } from "../../../contract/index.ts";
import { secrets } from "../../../steps/stage/secrets.ts";
import { parseSynapseYaml } from "../../../engine/synapse/config/pythonYaml.ts";
import { expectError } from "../../support/expectError.ts";
import {
    makeSource,
    plainConfig,
    readWithSynapse,
    signingKeyLine,
    testRun,
    type SourceFixture,
} from "../../engine/synapse/sourceFixture.ts";

type Spec = z.infer<typeof configureContract.spec>;

/** A source that uses much of what Synapse offers, secrets inline and in files, and settings that must not come along. */
const richConfig = (directory: string): string =>
    plainConfig(
        directory,
        `password_config: {pepper: "pe\\"pp\\\\er ü", localdb_enabled: yes}
macaroon_secret_key_path: ${directory}/macaroon
registration_shared_secret: "1e3"
form_secret: "#form: 'secret'"
turn_shared_secret: turn-secret-value
recaptcha_private_key: "recaptcha-private"
old_signing_keys: {"ed25519:old": {key: "${Buffer.alloc(32, 9).toString("base64")}", expired_ts: 1600000000000}}
enable_registration: on
enable_registration_without_verification: true
max_upload_size: 10M
public_baseurl: https://matrix.example.org/
email: {smtp_host: mail.example.org, smtp_pass: mail-secret, notif_from: "a@example.org"}
push: {include_content: false}
app_service_config_files: [bridges/a.yaml]
templates: {custom_template_directory: ${directory}/templates}
rc_message: {per_second: 0.2, burst_count: 1e1}
redis: {enabled: false, password: redis-secret}
instance_map: {main: {host: localhost, port: 9093}, worker1: {host: localhost, port: 9094}}
stream_writers: {events: worker1}
worker_replication_secret: worker-secret
send_federation: false
start_pushers: false
enable_media_repo: false
media_instance_running_background_jobs: worker1
manhole: 9000
tls_certificate_path: /etc/tls/cert.pem
serve_server_wellknown: true
`,
    )
        .replace("burst_count: 1e1", "burst_count: 10")
        .replace(
            "  - {type: http, port: 8008",
            "  - {type: metrics, port: 9101, bind_addresses: [127.0.0.1]}\n  - {type: http, port: 9093, resources: [{names: [replication]}]}\n  - {type: http, port: 8008",
        );

describe("the step configure", () => {
    let fixture: SourceFixture;
    afterEach(() => fixture.remove());

    const make = async (config = richConfig): Promise<void> => {
        fixture = await makeSource(config);
        const { directory } = fixture;
        await writeFile(join(directory, "macaroon"), "macaroon-from-file\n", { mode: 0o640 });
        await mkdir(join(directory, "bridges"));
        await writeFile(
            join(directory, "bridges", "a.yaml"),
            "id: a\nurl: http://127.0.0.1:1\nas_token: as-secret\nhs_token: hs-secret\nsender_localpart: a\nnamespaces: {}\n",
        );
        await mkdir(join(directory, "templates", "below"), { recursive: true });
        await writeFile(join(directory, "templates", "real.html"), "<p>");
        await symlink("real.html", join(directory, "templates", "notice.html"));
        await writeFile(join(directory, "owner.password"), "target-password\n", { mode: 0o600 });
    };
    const specOf = (given: Partial<Spec> = {}): Spec => ({
        run: { id: "run1", directory: "/nonexistent" },
        source: fixture.source,
        targetDirectory: fixture.targetDirectory,
        database: {
            host: "127.0.0.1",
            port: 5499,
            name: "synapse",
            owner: "synapse_owner",
            ownerPasswordFile: join(fixture.directory, "owner.password"),
            admin: "postgres",
            adminPasswordFile: "/nonexistent",
            clientDirectory: "/usr/bin",
        },
        mediaStore: join(fixture.targetDirectory, "media_store"),
        signingKeyFile: join(fixture.targetDirectory, "example.org.signing.key"),
        secretsFile: join(fixture.targetDirectory, "secrets.yaml"),
        listener: { bindAddress: "127.0.0.1", port: 8448 },
        isolated: false,
        ...given,
    });
    const putSecrets = async (given: { pepper?: string; macaroonSecretKey?: string }) => {
        const { run, source, targetDirectory } = specOf();
        return secrets.act({ run, source, targetDirectory, signingKey: signingKeyLine, ...given }, testRun().run);
    };
    const richSecrets = { pepper: 'pe"pp\\er ü', macaroonSecretKey: "macaroon-from-file" };

    /** What must be the same on both sides, whoever reads it. */
    const same = [
        "serverName",
        "macaroon",
        "pepper",
        "formSecret",
        "registrationSharedSecret",
        "turnSharedSecret",
        "recaptchaPrivateKey",
        "signingKeys",
        "oldSigningKeys",
        "registration",
        "includeContent",
        "publicBaseUrl",
        "oidc",
        "whitelist",
    ];

    it("gives real Synapse the source's settings, and its own database, paths and listener", async () => {
        await make();
        await putSecrets(richSecrets);
        const { run, said, evidence } = testRun();
        const result = await configure.act(specOf(), run);
        expect(configureContract.result.safeParse(result).success).to.equal(true);
        const [source, target] = await Promise.all([
            readWithSynapse([fixture.configFile], fixture.directory),
            readWithSynapse(result.configFiles, fixture.directory),
        ]);
        for (const key of same) expect(target[key], key).to.deep.equal(source[key]);
        // What the fence compares: a key that was rotated since, a secret in a file of its own.
        expect(evidence.at(-1))
            .to.have.property("sourceSecretFiles")
            .with.keys("signing key", "file of macaroon_secret_key");
        expect(target["macaroon"]).to.equal(Buffer.from("macaroon-from-file").toString("hex"));
        expect(target).to.deep.include({
            email: "mail-secret",
            maxUpload: 10_485_760,
            mediaStore: join(fixture.targetDirectory, "media_store"),
            pidFile: result.pidFile,
            templates: join(fixture.targetDirectory, "files/templates.custom_template_directory/templates"),
            appServices: [join(fixture.targetDirectory, "files/app_service_config_files/a.yaml")],
            listeners: [[8448, ["127.0.0.1"], false, true, ["client", "federation"]]],
            sendFederation: true,
            startPushers: true,
            redis: false,
            workers: [],
            mediaRepo: true,
            pushEnabled: true,
            database: {
                name: "psycopg2",
                txn_limit: 1000,
                args: {
                    cp_min: 2,
                    cp_max: 3,
                    host: "127.0.0.1",
                    port: 5499,
                    dbname: "synapse",
                    user: "synapse_owner",
                    password: "target-password",
                },
            },
        });
        expect(result.baseUrl).to.equal("http://127.0.0.1:8448");
        const left = result.notCarried.join("\n");
        for (const name of [
            "instance_map",
            "redis",
            "worker_replication_secret",
            "tls_certificate_path",
            "manhole",
            "metrics on port 9101",
        ]) {
            expect(left).to.contain(name);
        }
        const shown = JSON.stringify([said, evidence, result]) + (await readFile(result.configFiles[0] ?? "", "utf8"));
        for (const secret of [
            "target-password",
            "macaroon-from-file",
            "turn-secret-value",
            "mail-secret",
            "redis-secret",
            "worker-secret",
            "source-database-password",
        ]) {
            expect(shown, secret).not.to.contain(secret);
        }
        for (const name of ["homeserver.yaml", "database.yaml", "log.yaml", "files/app_service_config_files/a.yaml"]) {
            expect((await stat(join(fixture.targetDirectory, name))).mode & 0o777, name).to.equal(0o600);
        }
    });

    it("keeps Synapse's fallback of the macaroon secret to the signing key in force", async () => {
        await make((directory) => plainConfig(directory));
        await putSecrets({ macaroonSecretKey: "" });
        const { configFiles } = await configure.act(specOf(), testRun().run);
        const source = await readWithSynapse([fixture.configFile], fixture.directory);
        const target = await readWithSynapse(configFiles, fixture.directory);
        expect(target["macaroon"]).to.equal(source["macaroon"]).and.to.have.length(64);
        const { effectiveMacaroonSecret } = await import("../../../engine/synapse/secrets/homeserverSecrets.ts");
        const { key } = effectiveMacaroonSecret(undefined, "", { seed: Buffer.alloc(32, 7) });
        expect(key.toString("hex")).to.equal(source["macaroon"]);
    });

    it("writes out the fallback to the registration secret", async () => {
        await make((directory) => plainConfig(directory, "registration_shared_secret: registration-secret\n"));
        await putSecrets({ macaroonSecretKey: "registration-secret" });
        const { configFiles } = await configure.act(specOf(), testRun().run);
        const source = await readWithSynapse([fixture.configFile], fixture.directory);
        const target = await readWithSynapse(configFiles, fixture.directory);
        expect(target["macaroon"]).to.equal(source["macaroon"]);
        expect(await readFile(join(fixture.targetDirectory, "secrets.yaml"), "utf8")).to.contain(
            "macaroon_secret_key:",
        );
    });

    it("keeps a rehearsal's target to itself, in real Synapse's eyes", async () => {
        await make(
            (directory) =>
                `${richConfig(directory)}sentry: {dsn: "https://key@sentry.example.org/1"}\nmodules: [{module: not.installed.Module}]\n` +
                // What modules were configured with before there was `modules`, and mail that needs nobody to ask for it.
                "spam_checker: {module: not.installed.Checker}\nthird_party_event_rules: {module: not.installed.Rules}\n" +
                "presence: {enabled: false, presence_router: {module: not.installed.Router}}\n" +
                "account_validity: {enabled: true, period: 6w, renew_at: 1w}\n",
        );
        await putSecrets(richSecrets);
        const result = await configure.act(specOf({ isolated: true }), testRun().run);
        const target = await readWithSynapse(result.configFiles, fixture.directory);
        expect(target).to.deep.include({
            whitelist: [],
            pushEnabled: false,
            startPushers: false,
            includeContent: false,
            appServices: [],
            email: null,
            urlPreviews: false,
            stats: false,
            sentry: false,
            modules: 0,
            renewalMail: false,
            trustedKeyServers: [],
            pepper: richSecrets.pepper,
            macaroon: Buffer.from("macaroon-from-file").toString("hex"),
        });
        expect(result.configFiles.at(-1)).to.equal(join(fixture.targetDirectory, "isolation.yaml"));
        expect(result.notCarried.join("\n")).to.contain(
            "app_service_config_files, email, modules, sentry, spam_checker, third_party_event_rules",
        );
        expect(
            await lstat(join(fixture.targetDirectory, "files/app_service_config_files")).catch(() => "absent"),
        ).to.equal("absent");
    });

    it("has Synapse serve no media where another program does, and no resource that would contradict it", async () => {
        await make((directory) => plainConfig(directory, "").replace(/names: \[/, "names: [media, "));
        await putSecrets({});
        const homeserver = async (given: Partial<Spec>): Promise<unknown> => {
            const { configFiles } = await configure.act(specOf(given), testRun().run);
            return parseSynapseYaml("f", await readFile(configFiles[0] ?? "", "utf8"))?.sections;
        };
        const names = (sections: unknown): string => JSON.stringify(sections).match(/"names":(\[.*?\])/)?.[1] ?? "";
        const external = await homeserver({ mediaServer: "external" });
        expect(external).to.include({ enable_media_repo: false });
        expect(names(external)).not.to.contain("media");
        const own = await homeserver({});
        expect(own).not.to.have.property("enable_media_repo");
        expect(names(own)).to.contain("media");
    });

    it("keeps media itself where a worker of the source did, and the pool of a database that is the only one of several", async () => {
        await make((directory) =>
            plainConfig(
                directory,
                "enable_local_media_storage: false\nmedia_instance_running_background_jobs: media1\n",
            )
                .replace("database:\n", "databases:\n main:\n")
                .replace("sslmode: disable", "sslmode: verify-ca, sslrootcert: /etc/ca.pem"),
        );
        const { configFiles } = await configure.act(specOf(), testRun().run);
        const written = async (name: string) =>
            parseSynapseYaml(name, await readFile(join(fixture.targetDirectory, name), "utf8"))?.sections;
        expect(await written("homeserver.yaml"), configFiles.join(", ")).not.to.have.property(
            "enable_local_media_storage",
        );
        expect(await written("database.yaml")).to.have.nested.property("database.args.cp_min", 2);
        expect(await written("database.yaml")).not.to.have.nested.property("database.args.sslrootcert");
    });

    it("gives the same digest for the same configuration, and another one for another", async () => {
        await make();
        const first = await configure.act(specOf(), testRun().run);
        expect((await configure.act(specOf(), testRun().run)).digest).to.equal(first.digest);
        await writeFile(join(fixture.directory, "owner.password"), "rotated-password\n");
        expect((await configure.act(specOf(), testRun().run)).digest).to.equal(first.digest);
        const other = await configure.act(
            specOf({ listener: { bindAddress: "127.0.0.1", port: 8449 } }),
            testRun().run,
        );
        expect(other.digest).not.to.equal(first.digest);
    });

    it("takes a free port when asked for 0, and keeps it", async () => {
        await make();
        const { run } = testRun();
        const spec = specOf({ listener: { bindAddress: "0.0.0.0", port: 0 } });
        const first = await configure.act(spec, run);
        expect(first.baseUrl).to.match(/^http:\/\/127\.0\.0\.1:[1-9]\d+$/);
        expect((await configure.act(spec, run)).baseUrl).to.equal(first.baseUrl);
    });

    it("copies links' content and leaves nothing of it in the source's directory", async () => {
        await make();
        await configure.act(specOf(), testRun().run);
        const copied = join(fixture.targetDirectory, "files/templates.custom_template_directory/templates");
        expect((await lstat(join(copied, "notice.html"))).isFile()).to.equal(true);
        expect(await readFile(join(copied, "notice.html"), "utf8")).to.equal("<p>");
    });

    it("refuses the place of a source that runs here with SM-E0227, and writes nothing; another address is another place", async () => {
        await make();
        const at = (bindAddress: string, port = 8008) =>
            configure.act(specOf({ listener: { bindAddress, port } }), testRun().run);
        for (const address of ["127.0.0.1", "0.0.0.0", "::"]) await expectError("SM-E0227", () => at(address));
        expect(await stat(fixture.targetDirectory).catch(() => undefined)).to.equal(undefined);
        expect((await at("127.0.0.2")).baseUrl).to.equal("http://127.0.0.2:8008");
    });

    it("refuses a file that is missing with SM-E0231, before anything is written", async () => {
        await make((directory) => plainConfig(directory, `app_service_config_files: [${directory}/missing.yaml]\n`));
        const error = await expectError("SM-E0231", () => configure.act(specOf(), testRun().run));
        expect(error.detail.found).to.match(/app_service_config_files: .*\/missing\.yaml$/);
        expect(await lstat(fixture.targetDirectory).catch(() => "absent")).to.equal("absent");
    });

    it("B13: refuses a password file that others can read, or that is a link, with SM-E1003", async () => {
        await make();
        const path = join(fixture.directory, "owner.password");
        await chmod(path, 0o640);
        await expectError("SM-E1003", () => configure.act(specOf(), testRun().run));
        await chmod(path, 0o600);
        await symlink(path, join(fixture.directory, "link"));
        const database = { ...specOf().database, ownerPasswordFile: join(fixture.directory, "link") };
        const error = await expectError("SM-E1003", () => configure.act(specOf({ database }), testRun().run));
        expect(error.detail.found).to.equal("it is a symbolic link");
    });

    it("never overwrites the configuration of another homeserver: SM-E1205", async () => {
        await make();
        await expectError("SM-E1205", () =>
            configure.act(specOf({ targetDirectory: fixture.directory }), testRun().run),
        );
        const text = await readFile(fixture.configFile, "utf8");
        expect(parseSynapseYaml("f", text)?.sections["server_name"]).to.equal("example.org");
    });

    it("takes back all it wrote and what Synapse writes there, and nothing else", async () => {
        await make();
        await putSecrets(richSecrets);
        const result = await configure.act(specOf(), testRun().run);
        for (const path of [result.pidFile, result.logFile, `${result.logFile}.1`]) await writeFile(path, "x");
        await configure.undo?.(specOf(), testRun("run2").run);
        expect(await readdir(fixture.targetDirectory)).to.contain("homeserver.yaml");
        await configure.undo?.(specOf(), testRun().run);
        expect(await readdir(fixture.targetDirectory)).to.have.members([
            ".secrets.files.json",
            ".target-made",
            ...(process.geteuid?.() === 0 ? [".target-user.json"] : []),
            "example.org.signing.key",
            "secrets.yaml",
        ]);
    });
});
