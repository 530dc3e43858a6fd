/** A source homeserver's configuration on disk, as real Synapse reads it; and what Synapse itself says it reads. */
import { mkdtempSync, rmSync } from "node:fs";
import { chmod, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ensureToolchain } from "../../../toolchain/toolchain.ts";
import { runProgram } from "../../../engine/machines/program.ts";
import type { SelfHostedSource } from "../../../contract/index.ts";
import type { StepRun } from "../../../engine/run/step.ts";

export const seed = Buffer.alloc(32, 7).toString("base64").replace(/=+$/, "");
export const signingKeyLine = `ed25519 a_Test ${seed}`;

export interface SourceFixture {
    readonly directory: string;
    readonly configFile: string;
    readonly source: SelfHostedSource;
    /** Where a target may be made; not there yet. */
    readonly targetDirectory: string;
    remove(): Promise<void>;
}

/** PostgreSQL, one listener, a signing key in a file; `more` is appended and may not repeat keys. */
export const plainConfig = (directory: string, more = ""): string => `server_name: example.org
report_stats: false
pid_file: ${directory}/homeserver.pid
signing_key_path: ${directory}/example.org.signing.key
media_store_path: ${directory}/media
listeners:
  - {type: http, port: 8008, bind_addresses: ['::1', 127.0.0.1], resources: [{names: [client, federation]}]}
database:
  name: psycopg2
  txn_limit: 1000
  args: {user: synapse_user, password: source-database-password, dbname: synapse, host: 127.0.0.1, port: 5433, cp_min: 2, cp_max: 3, sslmode: disable}
trusted_key_servers: []
${more}`;

export async function makeSource(
    config: (directory: string) => string,
    key = `${signingKeyLine}\n`,
): Promise<SourceFixture> {
    const root = await mkdtemp(join(tmpdir(), "synapse-source-"));
    // The user that the target's Synapse runs as must be able to go through it.
    await chmod(root, 0o755);
    const directory = join(root, "source");
    await mkdir(directory, { mode: 0o700 });
    const configFile = join(directory, "homeserver.yaml");
    await writeFile(configFile, config(directory), { mode: 0o600 });
    await writeFile(join(directory, "example.org.signing.key"), key, { mode: 0o600 });
    return {
        directory,
        configFile,
        targetDirectory: join(root, "target"),
        source: {
            kind: "selfHosted",
            serverName: "example.org",
            homeserverConfig: [configFile],
            machine: { kind: "local" },
            service: { kind: "process", pidFile: join(directory, "homeserver.pid") },
        },
        remove: () => rm(root, { recursive: true, force: true }),
    };
}

let python: Promise<string> | undefined;

async function synapsePython(): Promise<string> {
    python ??= ensureToolchain({ synapse: true }, () => undefined).then(({ synapse }) => {
        if (synapse === undefined) throw new Error("the toolchain set up no Synapse");
        return synapse.python;
    });
    return python;
}

/** What the PyYAML of Synapse's environment makes of a text, as JSON; of infinities and dates their text. */
export async function readWithPyYaml(text: string): Promise<unknown> {
    const program = "import json, sys, yaml; print(json.dumps(yaml.safe_load(sys.stdin.buffer.read()), default=str))";
    const { stdout } = await runProgram(await synapsePython(), ["-c", program], { input: text, timeoutSeconds: 60 });
    return JSON.parse(stdout) as unknown;
}

/** What psycopg2 makes of each argument of a mapping that is none: `str()` of what PyYAML reads. */
export async function readAsTexts(text: string): Promise<unknown> {
    const program =
        "import json, sys, yaml; print(json.dumps({k: str(v) for k, v in yaml.safe_load(sys.stdin.buffer.read()).items() if v is not None}))";
    const { stdout } = await runProgram(await synapsePython(), ["-c", program], { input: text, timeoutSeconds: 60 });
    return JSON.parse(stdout) as unknown;
}

/** Prints what Synapse has in effect, secrets as hex. */
const script = `
import json, sys
from synapse.config.homeserver import HomeServerConfig
config = HomeServerConfig.load_config("", sys.argv[1:])
def text(value):
    return value.hex() if isinstance(value, bytes) else value
print("\\n" + json.dumps({
    "serverName": config.server.server_name,
    "macaroon": text(config.key.macaroon_secret_key),
    "pepper": config.auth.password_pepper,
    "formSecret": config.key.form_secret,
    "registrationSharedSecret": config.registration.registration_shared_secret,
    "turnSharedSecret": config.voip.turn_shared_secret,
    "recaptchaPrivateKey": config.captcha.recaptcha_private_key,
    "oidc": [[p.idp_id, p.client_secret] for p in config.oidc.oidc_providers],
    "signingKeys": {k.alg + ":" + k.version: bytes(k).hex() for k in config.key.signing_key},
    "oldSigningKeys": {k: [v.encode().hex(), v.expired] for k, v in config.key.old_signing_keys.items()},
    "registration": config.registration.enable_registration,
    "maxUpload": getattr(config.media, "max_upload_size", None),
    "mediaStore": getattr(config.media, "media_store_path", None),
    "pushEnabled": config.push.enable_push,
    "includeContent": config.push.push_include_content,
    "whitelist": None if config.federation.federation_domain_whitelist is None else list(config.federation.federation_domain_whitelist),
    "appServices": config.appservice.app_service_config_files,
    "email": config.email.email_smtp_pass,
    "urlPreviews": config.media.url_preview_enabled,
    "stats": config.metrics.report_stats,
    "sentry": config.metrics.sentry_enabled,
    "modules": len(config.modules.loaded_modules) + len(config.authproviders.password_providers) + len(config.spamchecker.spam_checkers)
        + (config.thirdpartyrules.third_party_event_rules is not None) + (config.server.presence_router_module_class is not None),
    "renewalMail": config.account_validity.account_validity_enabled and config.account_validity.account_validity_renew_by_email_enabled,
    "trustedKeyServers": [s.server_name for s in config.key.key_servers],
    "listeners": [[l.port, l.bind_addresses, l.tls, l.http_options.x_forwarded, [n for r in l.http_options.resources for n in r.names]] for l in config.server.listeners if l.http_options],
    "database": config.database.databases[0].config,
    "pidFile": config.server.pid_file,
    "publicBaseUrl": config.server.public_baseurl,
    "templates": config.server.custom_template_directory,
    "sendFederation": config.worker.send_federation,
    "startPushers": config.worker.start_pushers,
    "redis": config.redis.redis_enabled,
    "workers": list(config.worker.instance_map),
    "mediaRepo": config.media.can_load_media_repo,
}))
`;

/** What real Synapse reads from these files; fails as Synapse would. */
export async function readWithSynapse(
    files: readonly string[],
    workingDirectory: string,
): Promise<Record<string, unknown>> {
    const args = files.flatMap((file) => ["-c", file]);
    const { stdout } = await runProgram(await synapsePython(), ["-c", script, ...args], {
        workingDirectory,
        timeoutSeconds: 60,
    });
    return JSON.parse(stdout.trim().split("\n").at(-1) ?? "") as Record<string, unknown>;
}

const runDirectories: string[] = [];
after(() => {
    for (const directory of runDirectories) rmSync(directory, { recursive: true, force: true });
});

/** A run of its own for a step under test: what it says and its evidence are kept; its directory is there for the key of its digests. */
export function testRun(id = "run1"): { run: StepRun; said: string[]; evidence: object[] } {
    const directory = mkdtempSync(join(tmpdir(), "synapse-migration-test-"));
    runDirectories.push(directory);
    const said: string[] = [];
    const evidence: object[] = [];
    const actions = new Map<string, unknown>();
    const run: StepRun = {
        id,
        directory,
        reference: { id, directory },
        progress: {
            say: (line) => void said.push(line),
            note: (line) => void said.push(line),
            during: (_title, work) => work(),
        },
        journal: { read: () => Promise.resolve([]), append: () => Promise.reject(new Error("not journaled here")) },
        signal: new AbortController().signal,
        async recorded<T>(action: string, act: () => Promise<T>): Promise<T> {
            if (!actions.has(action)) actions.set(action, await act());
            return actions.get(action) as T;
        },
        evidence: (object) => Promise.resolve(void evidence.push(object)),
    };
    return { run, said, evidence };
}
