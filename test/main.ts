/** `npm test`: sets up what is missing, checks the code, and runs every test with its coverage. */
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { ensureToolchain } from "../toolchain/toolchain.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const say = (line: string): void => void process.stdout.write(`${line}\n`);

/** Runs a program of the project in the foreground; its exit code, 128 after a signal. */
function run(program: string, args: readonly string[], environment: NodeJS.ProcessEnv): Promise<number> {
    return new Promise((resolve, reject) => {
        const child = spawn(program, [...args], {
            cwd: root,
            env: environment,
            stdio: ["ignore", "inherit", "inherit"],
        });
        child.once("error", reject);
        child.once("exit", (code) => resolve(code ?? 128));
    });
}

async function timed(title: string, work: () => Promise<number>): Promise<void> {
    const started = performance.now();
    say(`\n== ${title}`);
    const code = await work();
    say(
        `== ${title}: ${code === 0 ? "passed" : `failed with exit code ${code}`} in ${((performance.now() - started) / 1000).toFixed(0)} s`,
    );
    if (code !== 0) process.exit(1);
}

const chosen = process.argv.slice(2);
const toolchain = await ensureToolchain({ pulumi: true, postgres: true, synapse: true, chromium: true }, say);
if (toolchain.pulumi?.plugins === "offline") {
    say("offline plugins in use: the end-to-end tests run on this project's stand-ins for Pulumi's own plugins");
}
const environment = { ...process.env, ...toolchain.pulumi?.environment, FORCE_COLOR: "0" };

if (chosen.length === 0)
    await timed("types, lint, format, unused code", () => run("npm", ["run", "--silent", "check"], environment));
const mocha = ["node_modules/mocha/bin/mocha.js", ...(chosen.length === 0 ? ["test/**/*.test.ts"] : chosen)];
await timed("tests", () =>
    chosen.length === 0
        ? run(process.execPath, ["node_modules/c8/bin/c8.js", process.execPath, ...mocha], environment)
        : run(process.execPath, mocha, environment),
);
