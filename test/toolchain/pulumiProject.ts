/** A Pulumi project in a directory of its own, with a file backend, driven by the real engine. */
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { execa } from "execa";
import { z } from "zod";
import { ensureToolchain, type PulumiToolchain } from "../../toolchain/toolchain.ts";

const root = dirname(dirname(import.meta.dirname));
const longestOperationSeconds = 60;

export interface OperationOptions {
    /** Gets each line that the engine prints, and a way to signal it. */
    readonly onLine?: (line: string, signal: (name: NodeJS.Signals) => void) => void;
}

export interface Operation {
    readonly exitCode: number | undefined;
    /** Standard output and error, as they came. */
    readonly output: string;
    readonly seconds: number;
}

const exported = z.object({
    deployment: z.object({
        resources: z
            .array(
                z.object({ urn: z.string(), type: z.string(), outputs: z.record(z.string(), z.unknown()).default({}) }),
            )
            .default([]),
    }),
});

/** Outputs of the command resources of a stack, by name. */
export type CommandOutputs = Record<string, Record<string, unknown>>;

export class PulumiProject {
    public readonly directory: string;
    public readonly toolchain: PulumiToolchain;

    private constructor(directory: string, toolchain: PulumiToolchain) {
        this.directory = directory;
        this.toolchain = toolchain;
    }

    /**
     * Makes the project and its one stack.
     *
     * @param files  by name; with a Pulumi.yaml and the program
     */
    public static async make(files: Readonly<Record<string, string>>): Promise<PulumiProject> {
        const { pulumi } = await ensureToolchain({ pulumi: true }, () => undefined);
        if (pulumi === undefined) throw new Error("the toolchain has no Pulumi, although it was asked for");
        const directory = await mkdtemp(join(tmpdir(), "synapse-migration-project-"));
        const project = new PulumiProject(directory, pulumi);
        await symlink(join(root, "node_modules"), join(directory, "node_modules"));
        await mkdir(join(directory, "state"));
        const dependencies = {
            "@pulumi/command": "1.2.1",
            "@pulumi/kubernetes": "4.34.2",
            "@pulumi/pulumi": "3.248.0",
        };
        await project.write("package.json", JSON.stringify({ name: "probe", type: "module", dependencies }));
        for (const [name, text] of Object.entries(files)) await project.write(name, text);
        const { exitCode, output } = await project.pulumi("stack", "init", "dev");
        if (exitCode !== 0) throw new Error(output);
        return project;
    }

    public async write(name: string, text: string): Promise<void> {
        await writeFile(join(this.directory, name), text);
    }

    /** The text of a file in the project; empty when there is none. */
    public async read(name: string): Promise<string> {
        return readFile(join(this.directory, name), "utf8").catch(() => "");
    }

    public pulumi(...args: string[]): Promise<Operation> {
        return this.operate(args, {});
    }

    /** Runs a Pulumi command to its end. */
    public async operate(args: readonly string[], { onLine }: OperationOptions): Promise<Operation> {
        const started = performance.now();
        const child = execa(this.toolchain.program, [...args, "--non-interactive"], {
            cwd: this.directory,
            env: {
                ...this.toolchain.environment,
                PULUMI_BACKEND_URL: `file://${join(this.directory, "state")}`,
                PULUMI_CONFIG_PASSPHRASE: "only of this test",
            },
            stdin: "ignore",
            all: true,
            reject: false,
            timeout: longestOperationSeconds * 1000,
        });
        const watching = (async (): Promise<void> => {
            if (onLine === undefined) return;
            for await (const line of child.iterable({ from: "all" })) onLine(line, (name) => void child.kill(name));
        })();
        const [{ exitCode, all }] = await Promise.all([child, watching]);
        return { exitCode, output: all, seconds: (performance.now() - started) / 1000 };
    }

    /** What the stack's state holds of each command; secrets as the export has them, encrypted. */
    public async commands(): Promise<CommandOutputs> {
        const { output } = await this.pulumi("stack", "export");
        const { resources } = exported.parse(JSON.parse(output)).deployment;
        return Object.fromEntries(
            resources
                .filter(({ type }) => type === "command:local:Command")
                .map(({ urn, outputs }) => [urn.split("::").at(-1) ?? urn, outputs]),
        );
    }

    public async remove(): Promise<void> {
        await rm(this.directory, { recursive: true, force: true });
    }
}
