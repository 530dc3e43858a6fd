/** Programs behind each other as a shell would run them, but without one: every exit is checked. */
import { spawn, type ChildProcess } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { baseEnvironment } from "../engine/machines/program.ts";

export interface Stage {
    /** Absolute path, or a name on PATH. */
    readonly program: string;
    readonly args: readonly string[];
}

export interface Pipeline {
    readonly stages: readonly [Stage, ...Stage[]];
    /** Standard input of the first stage; nothing when absent. */
    readonly from?: string;
    /** Standard output of the last stage; thrown away when absent. Made with mode 0600. */
    readonly to?: string;
    readonly environment: Readonly<Record<string, string>>;
    readonly timeoutSeconds: number;
}

const keptErrors = 2000;

/**
 * Runs all stages at once and waits for all of them.
 *
 * Each stage gets the other end of the one before as its own descriptor: no byte passes through this process.
 *
 * @returns seconds from the first start to the last end
 * @throws Error that names every stage that did not exit with 0
 */
export async function runPipeline({ stages, from, to, environment, timeoutSeconds }: Pipeline): Promise<number> {
    const input = from === undefined ? undefined : openSync(from, "r");
    const output = to === undefined ? undefined : openSync(to, "w", 0o600);
    const began = performance.now();
    const running: { readonly stage: Stage; readonly child: ChildProcess; readonly ended: Promise<string> }[] = [];
    try {
        for (const [index, stage] of stages.entries()) {
            const before = running.at(-1)?.child.stdout;
            const isLast = index === stages.length - 1;
            const child = spawn("setpriv", ["--pdeathsig", "KILL", "--", stage.program, ...stage.args], {
                env: baseEnvironment(environment),
                stdio: [before ?? input ?? "ignore", isLast ? (output ?? "ignore") : "pipe", "pipe"],
                timeout: timeoutSeconds * 1000,
                killSignal: "SIGKILL",
            });
            running.push({ stage, child, ended: ending(child) });
        }
        // Our own ends: a reader that dies must be noticed by its writer.
        for (const { child } of running) child.stdout?.destroy();
        const endings = await Promise.all(running.map(({ ended }) => ended));
        const failed = running.flatMap(({ stage }, index) =>
            endings[index] === "" ? [] : [`${stage.program} ${endings[index] ?? ""}`],
        );
        if (failed.length > 0) throw new Error(failed.join("\n"));
        return (performance.now() - began) / 1000;
    } finally {
        for (const descriptor of [input, output]) if (descriptor !== undefined) closeSync(descriptor);
    }
}

/** Empty for exit code 0. */
function ending(child: ChildProcess): Promise<string> {
    return new Promise((resolve, reject) => {
        let errors = "";
        child.stderr?.setEncoding("utf8").on("data", (text: string) => {
            errors = (errors + text).slice(-keptErrors);
        });
        child.once("error", reject);
        // Not `close`: standard output is the next stage's, and no business of ours.
        child.once("exit", (code, signal) => {
            resolve(code === 0 ? "" : `ended with ${code ?? signal ?? "nothing"}: ${errors.trim()}`);
        });
    });
}
