/** One Pulumi stack of a rehearsal, driven as its user would: with the CLI, on a backend of files. */
import { randomBytes } from "node:crypto";
import { appendFileSync, mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { execa } from "execa";
import { stringify } from "yaml";
import { z } from "zod";
import { baseEnvironment } from "../engine/machines/program.ts";
import { MigrationError } from "../engine/run/errors.ts";
import type { Progress } from "../engine/run/progress.ts";
import { redact, registerSecret } from "../engine/run/redaction.ts";
import type { PulumiToolchain } from "../toolchain/toolchain.ts";

export interface PulumiStackArgs {
    /** `[a-z0-9-]+`, unlike every other stack of the project. */
    readonly name: string;
    readonly pulumi: PulumiToolchain;
    /** Where Pulumi.yaml is. */
    readonly projectDirectory: string;
    /** Gets the state, the stack's configuration and the log. */
    readonly directory: string;
    /** Values without the project's name before the key. */
    readonly config: Readonly<Record<string, unknown>>;
    readonly secrets: Readonly<Record<string, string>>;
    readonly progress: Progress;
    /** Interrupts a running command as Ctrl-C does. Clean-up ({@link PulumiStack.destroy}) goes on regardless. */
    readonly signal: AbortSignal;
}

const project = "synapse-migration";
const commandSeconds = 120;
const operationSeconds = 3600;
/** Pulumi waits for the steps that run, and undoes nothing. */
const interruptSeconds = 60;
const linesInError = 25;

/** A stack, its configuration outside of the repository, and the passphrase of its secrets in a file. */
export class PulumiStack {
    readonly #args: PulumiStackArgs;
    readonly #configFile: string;
    readonly #environment: Readonly<Record<string, string>>;

    private constructor(args: PulumiStackArgs) {
        this.#args = args;
        this.#configFile = join(args.directory, "stack.yaml");
        this.#environment = {
            ...args.pulumi.environment,
            PULUMI_HOME: args.pulumi.home,
            PULUMI_BACKEND_URL: `file://${join(args.directory, "state")}`,
            PULUMI_CONFIG_PASSPHRASE_FILE: join(args.directory, "passphrase"),
            PULUMI_SKIP_UPDATE_CHECK: "true",
        };
    }

    /** Makes the stack and writes its configuration; secrets are encrypted by `pulumi config`. */
    public static async create(args: PulumiStackArgs): Promise<PulumiStack> {
        const stack = new PulumiStack(args);
        mkdirSync(join(args.directory, "state"), { recursive: true, mode: 0o700 });
        const passphrase = randomBytes(24).toString("base64url");
        registerSecret(passphrase);
        writeFileSync(join(args.directory, "passphrase"), passphrase, { mode: 0o600 });
        try {
            await stack.#run(["stack", "init", args.name], commandSeconds);
        } finally {
            stack.#removeStrayConfig();
        }
        const config = Object.fromEntries(
            Object.entries(args.config).map(([key, value]) => [`${project}:${key}`, value]),
        );
        writeFileSync(stack.#configFile, stringify({ config }), { mode: 0o600 });
        for (const [key, secret] of Object.entries(args.secrets)) {
            registerSecret(secret);
            await stack.#run(
                ["config", "set", "--secret", key, ...stack.#selected(), "--config-file", stack.#configFile],
                commandSeconds,
                secret,
            );
        }
        return stack;
    }

    public async preview(...flags: string[]): Promise<void> {
        await this.#run(["preview", ...this.#operation(), ...flags], operationSeconds);
    }

    /** Sets a plain value of the stack's configuration. */
    public async set(key: string, value: string): Promise<void> {
        const args = ["config", "set", key, value, ...this.#selected(), "--config-file", this.#configFile];
        await this.#run(args, commandSeconds);
    }

    /** Declares a phase and makes it true. */
    public async up(phase: string, ...flags: string[]): Promise<void> {
        await this.set("phase", phase);
        await this.#run(["up", "--yes", "--skip-preview", ...this.#operation(), ...flags], operationSeconds);
    }

    /** The stack's outputs; secret ones as `[secret]`. */
    public async outputs<T>(shape: z.ZodType<T>): Promise<T> {
        const text = await this.#run(["stack", "output", "--json", ...this.#selected()], commandSeconds);
        return shape.parse(JSON.parse(text));
    }

    /** The state as Pulumi keeps it, its secrets encrypted. */
    public async exportState(): Promise<string> {
        return this.#run(["stack", "export", ...this.#selected()], commandSeconds);
    }

    /** Releases the lock that a killed Pulumi leaves; there is nobody else who could hold it. */
    public async cancel(): Promise<void> {
        await this.#run(["cancel", "--yes", ...this.#selected()], commandSeconds, undefined, false).catch(() => "");
    }

    /** Forgets operations that a killed Pulumi has noted as begun: every step knows itself whether it was done. */
    public async forgetPending(): Promise<void> {
        const args = ["refresh", "--clear-pending-creates", "--yes", "--skip-preview", ...this.#operation()];
        await this.#run(args, operationSeconds);
    }

    /** Deletes all that the stack made, then the stack. Does so after an interruption, too. */
    public async destroy(): Promise<void> {
        await this.cancel();
        await this.#run(
            ["destroy", "--yes", "--skip-preview", ...this.#operation()],
            operationSeconds,
            undefined,
            false,
        );
        await this.#run(["stack", "rm", "--yes", ...this.#selected()], commandSeconds, undefined, false);
        this.#removeStrayConfig();
    }

    #selected(): string[] {
        return ["--stack", this.#args.name];
    }

    #operation(): string[] {
        return [
            ...this.#selected(),
            "--config-file",
            this.#configFile,
            "--suppress-permalink=true",
            "--suppress-progress",
        ];
    }

    /** `pulumi stack init` writes into the repository, whatever file is used afterwards. */
    #removeStrayConfig(): void {
        const { projectDirectory, directory, name } = this.#args;
        const stray = join(projectDirectory, "stacks", `Pulumi.${name}.yaml`);
        try {
            renameSync(stray, join(directory, "stack-init.yaml"));
        } catch {
            rmSync(stray, { force: true }); // It is not there, or on another file system.
        }
    }

    /** Runs the CLI in a session of its own: Ctrl-C of the terminal reaches it through us only, and once. */
    async #run(args: string[], timeoutSeconds: number, input?: string, interruptible = true): Promise<string> {
        const { pulumi, projectDirectory, directory, progress, signal } = this.#args;
        if (interruptible) signal.throwIfAborted();
        const command = ["--non-interactive", "--color", "never", ...args];
        const child = execa("setpriv", ["--pdeathsig", "KILL", "--", pulumi.program, ...command], {
            cwd: projectDirectory,
            env: baseEnvironment(this.#environment),
            extendEnv: false,
            detached: true,
            ...(input === undefined ? { stdin: "ignore" as const } : { input }),
            all: true,
            reject: false,
            timeout: timeoutSeconds * 1000,
            forceKillAfterDelay: interruptSeconds * 1000,
        });
        const interrupt = (): void => {
            progress.say("interrupted: waiting for Pulumi to stop");
            child.kill("SIGINT");
            setTimeout(() => child.kill("SIGKILL"), interruptSeconds * 1000).unref();
        };
        if (interruptible) signal.addEventListener("abort", interrupt, { once: true });
        const lines: string[] = [];
        const quiet = args[0] === "stack" || args[0] === "config" || args[0] === "cancel";
        try {
            for await (const line of child.iterable({ from: "all" })) {
                lines.push(line);
                appendFileSync(join(directory, "pulumi.log"), `${redact(line)}\n`, { mode: 0o600 });
                if (!quiet && isWorthSaying(line)) progress.say(line);
            }
            const result = await child;
            if (interruptible) signal.throwIfAborted();
            if (result.exitCode === 0) return result.stdout;
            const ending = result.timedOut
                ? `it was still running after ${timeoutSeconds} s`
                : `it ended with ${result.signal ?? `exit code ${String(result.exitCode)}`}`;
            throw new MigrationError("SM-E1101", {
                where: `pulumi ${args[0] ?? ""}, stack ${this.#args.name}`,
                found: redact([ending, ...diagnostics(lines)].join("\n")),
                expected: "the command to end with exit code 0",
                changed: "only what belongs to the rehearsal",
            });
        } finally {
            signal.removeEventListener("abort", interrupt);
        }
    }
}

/** That plugins are taken from PATH is said once, by the set-up, and not at every resource. */
function isWorthSaying(line: string): boolean {
    return line.trim() !== "" && !/warning: using pulumi-\S+ from \$PATH/.test(line);
}

/** What Pulumi says last about what went wrong; the last lines when it did not come so far. */
function diagnostics(lines: readonly string[]): string[] {
    const worth = lines.filter(isWorthSaying);
    const from = worth.findIndex((line) => line.startsWith("Diagnostics:"));
    return from < 0 ? worth.slice(-linesInError) : worth.slice(from + 1, from + 1 + linesInError);
}
