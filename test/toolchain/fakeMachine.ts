/** A machine made of a temporary directory: programs are files in it, and what they answer is a table. */
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { findOnPath } from "../../toolchain/findProgram.ts";
import { thisMachine, type Machine } from "../../toolchain/machine.ts";
import { MigrationError } from "../../engine/run/errors.ts";
import type { Progress } from "../../engine/run/progress.ts";

/** Answers a program's run with its standard output; undefined makes the run fail. May change the machine. */
export type Answer = (program: string, args: readonly string[]) => string | undefined | Promise<string | undefined>;

export class FakeMachine implements Machine {
    public readonly environment: Record<string, string>;
    public readonly headers = new Set<string>();
    /** Directories below the machine's that our servers' user cannot enter. */
    public unreachable: string[] = [];
    public isRoot = false;
    public isDebianLike = true;
    /** Every run, as `name arg arg`. */
    public readonly runs: string[] = [];
    public answer: Answer = () => "";
    public readonly root: string;

    private constructor(root: string) {
        this.root = root;
        this.environment = { PATH: join(root, "bin"), HOME: join(root, "home"), PULUMI_HOME: join(root, "pulumi") };
    }

    public static async make(): Promise<FakeMachine> {
        return new FakeMachine(await mkdtemp(join(tmpdir(), "synapse-migration-machine-")));
    }

    /** Puts an executable file there; the path is below the machine's directory. */
    public async program(path: string, content = "\u007fELF"): Promise<string> {
        const full = join(this.root, path);
        await mkdir(dirname(full), { recursive: true });
        await writeFile(full, content, { mode: 0o755 });
        return full;
    }

    public find(program: string): string | undefined {
        return findOnPath(program, this.environment["PATH"] ?? "");
    }

    public isExecutable(path: string): boolean {
        return thisMachine().isExecutable(path);
    }

    public isReachable(path: string): boolean {
        return !this.unreachable.some((prefix) => path.startsWith(join(this.root, prefix)));
    }

    public hasHeader(...names: readonly string[]): boolean {
        return names.some((name) => this.headers.has(name));
    }

    public async run(program: string, args: readonly string[]): ReturnType<Machine["run"]> {
        this.runs.push(
            [program.startsWith(this.root) ? program.slice(this.root.length + 1) : program, ...args].join(" "),
        );
        const stdout = await this.answer(program, args);
        if (stdout === undefined)
            throw new MigrationError("SM-E1101", { where: program, found: "it ended with exit code 1" });
        return { stdout, stderr: "", seconds: 0 };
    }

    public async remove(): Promise<void> {
        await rm(this.root, { recursive: true, force: true });
    }
}

/** Progress that keeps its lines. */
export function keptProgress(): Progress & { readonly lines: string[] } {
    const lines: string[] = [];
    return {
        lines,
        say: (line) => void lines.push(line),
        note: (line) => void lines.push(line),
        during: (title, work) => {
            lines.push(title);
            return work();
        },
    };
}

/** The code of the error that the promise is rejected with. */
export async function codeOf(promise: Promise<unknown>): Promise<string> {
    try {
        await promise;
    } catch (error) {
        if (error instanceof MigrationError) return error.code;
        throw error;
    }
    return "no error";
}
