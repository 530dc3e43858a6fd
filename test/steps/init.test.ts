import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Command } from "commander";
import { expect } from "chai";
import { parse } from "yaml";
import { runProgram } from "../../steps/hosts/program.ts";
import { initStack, registerInit, type InitOptions } from "../../steps/init.ts";
import { configCommands, type StackSettings } from "../../steps/init/configCommands.ts";
import { ensureToolchain } from "../../toolchain/toolchain.ts";
import { expectError } from "../support/expectError.ts";
import { makeSource, plainConfig, seed, signingKeyLine, type SourceFixture } from "./synapse/sourceFixture.ts";

describe("the commands that write a stack's configuration", () => {
    const settings: StackSettings = {
        serverName: "example.org",
        homeserverConfig: ["/etc/a.yaml", "/etc/conf.d"],
        pidFile: "/run/synapse.pid",
        targetDirectory: "/srv/target",
        synapsePython: "/opt/python",
        postgresPrograms: "/usr/lib/postgresql",
        signingKey: "the-signing-key\n",
        pepper: "the-pepper\n",
        macaroonSecretKey: "the-macaroon-secret",
    };

    it("hand secrets over on standard input and nowhere else, exactly as they are", () => {
        const commands = configCommands("prod", settings);
        expect(JSON.stringify(commands.map(({ args }) => args))).not.to.match(/the-/);
        const secrets = commands.filter(({ input }) => input !== undefined);
        expect(secrets.map(({ input }) => input)).to.deep.equal([
            "the-signing-key\n",
            "the-pepper\n",
            "the-macaroon-secret",
        ]);
        for (const { args } of secrets) expect(args).to.include.members(["--secret", "--raw", "--stack", "prod"]);
    });

    it("name every key of the source and the target", () => {
        const words = configCommands("prod", settings).flatMap(({ args }) => args);
        expect(words).to.include.members([
            "synapse-migration:serverName=example.org",
            "synapse-migration:phase=assess",
            "synapse-migration:source.homeserverConfig[1]=/etc/conf.d",
            "synapse-migration:source.service.pidFile=/run/synapse.pid",
            "synapse-migration:target.directory=/srv/target",
        ]);
    });

    it("write no pepper where there is none, and an empty macaroon secret where it is derived", () => {
        const commands = configCommands("prod", { ...settings, pepper: undefined, macaroonSecretKey: undefined });
        expect(commands.slice(-2).map(({ args, input }) => [args.at(-1), input])).to.deep.equal([
            ["synapse-migration:signingKey", "the-signing-key\n"],
            ["synapse-migration:macaroonSecretKey", ""],
        ]);
    });
});

describe("synapse-migrate init", () => {
    let fixture: SourceFixture;
    let project: string;
    beforeEach(async () => {
        project = await mkdtemp(join(tmpdir(), "synapse-init-"));
        await writeFile(
            join(project, "Pulumi.yaml"),
            "name: synapse-migration\nruntime: nodejs\nstackConfigDir: stacks\n",
        );
    });
    afterEach(async () => {
        await rm(project, { recursive: true, force: true });
        await fixture.remove();
    });

    const optionsOf = (environment: Record<string, string>): InitOptions => ({
        from: [fixture.configFile],
        stack: "prod",
        project,
        targetDirectory: "/srv/target",
        synapsePython: "/opt/python",
        postgresPrograms: "/usr/lib/postgresql",
        environment,
    });

    it("writes a stack's file with real Pulumi, secrets encrypted and exactly as in the source; twice is as once", async () => {
        fixture = await makeSource((directory) =>
            plainConfig(directory, 'password_config: {pepper: "pe:ppe:r\\n"}\nform_secret: ffff\n'),
        );
        const { pulumi } = await ensureToolchain({ pulumi: true }, () => undefined);
        if (pulumi === undefined) throw new Error("the toolchain set up no Pulumi");
        const environment = {
            ...pulumi.environment,
            HOME: project,
            PULUMI_HOME: join(project, "home"),
            PATH: `${join(pulumi.program, "..")}:${process.env["PATH"] ?? ""}`,
            PULUMI_BACKEND_URL: `file://${project}`,
            PULUMI_CONFIG_PASSPHRASE: "passphrase",
            PULUMI_SKIP_UPDATE_CHECK: "true",
        };
        const { stackFile, findings } = await initStack(optionsOf(environment));
        expect(findings.map(({ id }) => id)).to.deep.equal(["SM-W0821"]);
        await initStack(optionsOf(environment));
        const text = await readFile(stackFile, "utf8");
        for (const secret of ["pe:ppe:r", seed]) expect(text).not.to.contain(secret);
        const { config } = parse(text) as { config: Record<string, unknown> };
        expect(config).to.deep.include({
            "synapse-migration:serverName": "example.org",
            "synapse-migration:phase": "assess",
            "synapse-migration:source": {
                kind: "selfHosted",
                homeserverConfig: [fixture.configFile],
                host: { kind: "local" },
                service: { kind: "process", pidFile: join(fixture.directory, "homeserver.pid") },
            },
            "synapse-migration:target": {
                kind: "local",
                directory: "/srv/target",
                synapsePython: "/opt/python",
                postgresPrograms: "/usr/lib/postgresql",
            },
        });
        const { stdout } = await runProgram(
            pulumi.program,
            ["config", "--show-secrets", "--json", "--stack", "prod", "--cwd", project],
            {
                environment,
                timeoutSeconds: 60,
            },
        );
        const shown = JSON.parse(stdout) as Record<string, { value?: string; secret: boolean }>;
        expect(shown["synapse-migration:pepper"]).to.deep.equal({ value: "pe:ppe:r\n", secret: true });
        expect(shown["synapse-migration:signingKey"]).to.deep.equal({ value: `${signingKeyLine}\n`, secret: true });
        expect(shown["synapse-migration:macaroonSecretKey"]?.secret).to.equal(true);
    });

    it("refuses a source without pid file with SM-E0206, and writes nothing", async () => {
        fixture = await makeSource((directory) => plainConfig(directory).replace(/^pid_file.*\n/m, ""));
        await expectError("SM-E0206", () => initStack(optionsOf({ PATH: "" })));
        expect(await stat(join(project, "stacks")).catch(() => "absent")).to.equal("absent");
    });

    it("reads the homeserver before anything else, and refuses what cannot be read", async () => {
        fixture = await makeSource((directory) => plainConfig(directory, "server_name: twice.example.org\n"));
        await expectError("SM-E0203", async () => {
            const program = new Command().exitOverride();
            registerInit(program);
            await program.parseAsync(["init", "--from", fixture.configFile, "--stack", "prod"], { from: "user" });
        });
    });
});
