import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { Command } from "commander";
import { expect } from "chai";
import { parse } from "yaml";
import { runProgram } from "../../../engine/machines/program.ts";
import { initStack, registerInit, type InitOptions } from "../../../steps/commands/init.ts";
import { configCommands, type StackSettings } from "../../../steps/commands/configCommands.ts";
import { ensureToolchain } from "../../../toolchain/toolchain.ts";
import { expectError } from "../../support/expectError.ts";
import {
    makeSource,
    plainConfig,
    seed,
    signingKeyLine,
    type SourceFixture,
} from "../../engine/synapse/sourceFixture.ts";

describe("the commands that write a stack's configuration", () => {
    const settings: StackSettings = {
        serverName: "example.org",
        homeserverConfig: ["/etc/a.yaml", "/etc/conf.d"],
        paths: { "/data": "/srv/x/data" },
        machine: { kind: "local" },
        service: { kind: "process", pidFile: "/run/synapse.pid" },
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

    it("set secrets first, which Pulumi refuses without the passphrase, so that nothing is written then", () => {
        const kinds = configCommands("prod", settings).map(({ args }) => args.includes("--secret"));
        expect(kinds).to.deep.equal([true, true, true, false, false]);
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

    it("describes a homeserver that is installed as it describes a source, and the local kind no more", () => {
        const installed = {
            homeserverConfig: ["/etc/matrix-synapse/homeserver.yaml"],
            machine: { kind: "ssh" as const, address: "root@new.test", hostKey: "ssh-ed25519 AAAA" },
            service: { kind: "systemd" as const, units: ["matrix-synapse.service"] },
        };
        const words = configCommands("prod", { ...settings, installed }).flatMap(({ args }) => args);
        expect(words).to.include.members([
            "synapse-migration:target.kind=installed",
            "synapse-migration:target.homeserverConfig[0]=/etc/matrix-synapse/homeserver.yaml",
            "synapse-migration:target.machine.address=root@new.test",
            "synapse-migration:target.service.units[0]=matrix-synapse.service",
        ]);
        expect(words).not.to.include("synapse-migration:target.kind=local");
    });

    it("write no pepper where there is none, and an empty macaroon secret where it is derived", () => {
        const commands = configCommands("prod", { ...settings, pepper: undefined, macaroonSecretKey: undefined });
        expect(commands.slice(0, 2).map(({ args, input }) => [args.at(-1), input])).to.deep.equal([
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
            [
                "name: synapse-migration",
                'runtime: {name: nodejs, options: {typescript: false, nodeargs: "--import tsx"}}',
                "stackConfigDir: stacks\n",
            ].join("\n"),
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

    /** The CLI, and variables for it. */
    async function realPulumi(
        variables: Record<string, string>,
    ): Promise<{ pulumi: string; environment: Record<string, string> }> {
        const { pulumi } = await ensureToolchain({ pulumi: true }, () => undefined);
        if (pulumi === undefined) throw new Error("the toolchain set up no Pulumi");
        const environment = {
            ...pulumi.environment,
            HOME: project,
            PULUMI_HOME: join(project, "home"),
            PATH: `${join(pulumi.program, "..")}:${process.env["PATH"] ?? ""}`,
            PULUMI_BACKEND_URL: `file://${project}`,
            PULUMI_SKIP_UPDATE_CHECK: "true",
            ...variables,
        };
        return { pulumi: pulumi.program, environment };
    }

    it("writes a stack's file with real Pulumi, secrets encrypted and exactly as in the source; twice is as once", async () => {
        fixture = await makeSource((directory) =>
            plainConfig(directory, 'password_config: {pepper: "pe:ppe:r\\n"}\nform_secret: ffff\n'),
        );
        const { pulumi, environment } = await realPulumi({ PULUMI_CONFIG_PASSPHRASE: "passphrase" });
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
                machine: { kind: "local" },
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
            pulumi,
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

    it("takes where a container's directories are into the stack, and says what is there twice", async () => {
        fixture = await makeSource((directory) =>
            plainConfig(directory, "form_secret: first\nform_secret: second\n").replaceAll(`${directory}/`, "/data/"),
        );
        const { environment } = await realPulumi({ PULUMI_CONFIG_PASSPHRASE: "passphrase" });
        const { detail } = await expectError("SM-E0231", () => initStack(optionsOf(environment)));
        expect(detail.fix).to.contain(`--path /data=${fixture.directory}`);
        const paths = { "/data": fixture.directory };
        const { stackFile, findings } = await initStack({ ...optionsOf(environment), paths });
        expect(findings.map(({ id }) => id)).to.deep.equal(["SM-W0229"]);
        const { config } = parse(await readFile(stackFile, "utf8")) as { config: Record<string, unknown> };
        expect(config["synapse-migration:source"]).to.deep.include({
            paths,
            service: { kind: "process", pidFile: join(fixture.directory, "homeserver.pid") },
        });
    });

    it("takes directories from its command line as pairs", async () => {
        fixture = await makeSource((directory) => plainConfig(directory).replaceAll(`${directory}/`, "/data/"));
        const run = async (pair: string): Promise<void> => {
            const program = new Command().exitOverride();
            registerInit(program);
            const args = [
                "--from",
                fixture.configFile,
                "--stack",
                "prod",
                "--postgres-programs",
                "/p",
                "--synapse-python",
                "/s",
            ];
            await program.parseAsync(["init", ...args, "--path", pair], { from: "user" });
        };
        const { detail } = await expectError("SM-E0231", () => run("/elsewhere=/srv/data"));
        expect(detail.found).to.contain("signing_key_path: /data/");
        expect(await run("data=/srv").catch((error: unknown) => String(error))).to.contain("/directory/here");
    });

    it("refuses with SM-E0221 to make a stack without a passphrase, and makes none", async () => {
        fixture = await makeSource((directory) => plainConfig(directory));
        const { pulumi, environment } = await realPulumi({});
        const { block } = await expectError("SM-E0221", () => initStack(optionsOf(environment)));
        expect(block).to.match(/found +error: .*passphrase must be set[^]*fix +name a file of mode 0600/);
        const { stdout } = await runProgram(pulumi, ["stack", "ls", "--json", "--cwd", project], {
            environment,
            timeoutSeconds: 60,
        });
        expect(JSON.parse(stdout)).to.deep.equal([]);
        expect(await readdir(join(project, "stacks"))).to.deep.equal([]);
    });

    it("refuses with SM-E0234 where Pulumi has no backend, and says how it gets one", async () => {
        fixture = await makeSource((directory) => plainConfig(directory));
        for (const backend of ["", `file://${project}/not-there`]) {
            const { environment } = await realPulumi({
                PULUMI_CONFIG_PASSPHRASE: "passphrase",
                PULUMI_BACKEND_URL: backend,
            });
            const { block } = await expectError("SM-E0234", () => initStack(optionsOf(environment)));
            expect(block).to.match(/fix +`npx pulumi login --local`/);
        }
    });

    it("refuses with SM-E0221 to change a stack without its passphrase, and leaves its file as it was", async () => {
        fixture = await makeSource((directory) => plainConfig(directory));
        const { environment } = await realPulumi({});
        const { stackFile } = await initStack(optionsOf({ ...environment, PULUMI_CONFIG_PASSPHRASE: "passphrase" }));
        const before = await readFile(stackFile, "utf8");
        for (const passphrase of [{}, { PULUMI_CONFIG_PASSPHRASE: "another" }]) {
            const options = { ...optionsOf({ ...environment, ...passphrase }), targetDirectory: "/srv/elsewhere" };
            await expectError("SM-E0221", () => initStack(options));
            expect(await readFile(stackFile, "utf8")).to.equal(before);
        }
    });

    it("refuses what could not run the program, with SM-E0225 and SM-E0226, before anything is asked of Pulumi", async () => {
        fixture = await makeSource((directory) => plainConfig(directory));
        await writeFile(join(project, "Pulumi.yaml"), "name: synapse-migration\nruntime: nodejs\n");
        const old = `#!${process.execPath}
            require("node:fs").appendFileSync(__dirname + "/calls", process.argv.slice(2).join(" ") + "\\n");
            console.log("v3.100.0");`;
        await writeFile(join(project, "pulumi"), old, { mode: 0o755 });
        const attempt = (): Promise<unknown> =>
            initStack(optionsOf({ PATH: `${project}:${process.env["PATH"] ?? ""}` }));
        await expectError("SM-E0225", attempt);
        const { detail } = await expectError("SM-E0226", attempt);
        expect(detail).to.include({ where: join(project, "pulumi"), found: "Pulumi 3.100.0" });
        const calls = (await readFile(join(project, "calls"), "utf8")).trim().split("\n");
        for (const call of calls) expect(call).to.match(/ version$/);
        expect(await stat(join(project, "stacks")).catch(() => "absent")).to.equal("absent");
    });

    it("refuses a source without pid file with SM-E0206, and writes nothing", async () => {
        fixture = await makeSource((directory) => plainConfig(directory).replace(/^pid_file.*\n/m, ""));
        await expectError("SM-E0206", () => initStack(optionsOf({ PATH: "" })));
        expect(await stat(join(project, "stacks")).catch(() => "absent")).to.equal("absent");
    });

    it("refuses with SM-E1111 where no Synapse was set up and none is named, says what sets it up, and writes nothing", async () => {
        fixture = await makeSource((directory) => plainConfig(directory));
        const { from, stack } = optionsOf({});
        const options = { from, stack, project, environment: { PATH: "" } };
        const before = process.env["XDG_CACHE_HOME"];
        // Where no toolchain was ever set up; everybody may pass, or the system's cache is looked at instead.
        process.env["XDG_CACHE_HOME"] = dirname(fixture.directory);
        try {
            const { block } = await expectError("SM-E1111", () => initStack(options));
            expect(block).to.include("a Python that has Synapse was not found");
            expect(block).to.match(/fix +`npm run toolchain` sets it up; or give --synapse-python/);
        } finally {
            if (before === undefined) delete process.env["XDG_CACHE_HOME"];
            else process.env["XDG_CACHE_HOME"] = before;
        }
        expect(await stat(join(project, "stacks")).catch(() => "absent")).to.equal("absent");
    });

    it("reads the homeserver before anything else, and refuses what cannot be read", async () => {
        fixture = await makeSource((directory) => plainConfig(directory, "\tserver_name: twice.example.org\n"));
        await expectError("SM-E0203", async () => {
            const program = new Command().exitOverride();
            registerInit(program);
            await program.parseAsync(["init", "--from", fixture.configFile, "--stack", "prod"], { from: "user" });
        });
    });
});
