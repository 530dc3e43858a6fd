/** `npm test`: sets up what is missing, checks the code, and runs every test with its coverage. */
import { spawn, type ChildProcess, type StdioOptions } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { ensureToolchain } from "../toolchain/toolchain.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const say = (line: string): void => void process.stdout.write(`${line}\n`);
const mochaProgram = "node_modules/mocha/bin/mocha.js";
const coverageProgram = "node_modules/c8/bin/c8.js";
/** Suites of their own, `npm run test:production` and so on: each takes long, for it starts and stops whole homeservers again and again. */
const ownSuites = [
    "test/e2e/**/*.test.ts",
    "test/machines/**/*.test.ts",
    "test/steps/migrate/{fence,fenceFailure,fenceKept,fenceLooks,giveBack}.test.ts",
];
/** Less than half of the tests, beside which the code is checked: whole folders, so that no file is forgotten. */
const ofFiles = [
    ...["assess", "bundle", "media", "postgres/directCopy", "postgres/replication", "sqlite", "tables"].map(
        (room) => `engine/${room}`,
    ),
    "steps/export",
    "steps/assess",
].map((name) => `test/${name}/**/*.test.ts`);

/** In this order: what is found first is found fastest. */
const checks = ["check:types", "check:imports", "check:format", "check:unused", "check:lint"];

interface Outcome {
    readonly title: string;
    readonly code: number;
    readonly seconds: number;
    /** What failed, to be shown once more where everybody looks: at the end. */
    readonly failures?: string;
}

/** Of mocha's own list. */
const longestFailures = 20_000;
const lastWordsMilliseconds = 2000;

const running = new Set<ChildProcess>();

// Mocha stops after the test that runs, and cleans up after it.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.on(signal, () => {
        for (const child of running) child.kill("SIGINT");
    });
}

/** Runs Node, or another program, in the project; its exit code, 128 after a signal. */
function run(
    args: readonly string[],
    environment: NodeJS.ProcessEnv,
    stdio: StdioOptions = ["ignore", "inherit", "inherit"],
    program = process.execPath,
    onOutput?: (chunk: Buffer) => void,
): Promise<number> {
    return new Promise((resolve, reject) => {
        const child = spawn(program, [...args], { cwd: root, env: environment, stdio });
        running.add(child);
        if (onOutput !== undefined) for (const stream of [child.stdout, child.stderr]) stream?.on("data", onOutput);
        child.once("error", reject);
        const ended = once(child, "close");
        child.once("exit", (code) => {
            running.delete(child);
            // What it has said last may still be on its way; a program that it has left behind is not waited for.
            void Promise.race([ended, delay(lastWordsMilliseconds)]).then(() => {
                resolve(code ?? 128);
            });
        });
    });
}

async function timed(title: string, work: () => Promise<number>): Promise<Outcome> {
    const started = performance.now();
    say(`\n== ${title}`);
    const code = await work();
    const seconds = Math.round((performance.now() - started) / 1000);
    say(`== ${title}: ${code === 0 ? "passed" : `failed with exit code ${code}`} in ${seconds} s`);
    return { title, code, seconds };
}

/**
 * Runs tests, and keeps what failed.
 *
 * @param show  `live`, or when it has ended, so that it does not mix with that of the part beside it
 */
async function tests(
    title: string,
    args: readonly string[],
    environment: NodeJS.ProcessEnv,
    show: "live" | "afterwards",
): Promise<Outcome> {
    const chunks: Buffer[] = [];
    const onOutput = (chunk: Buffer): void => {
        chunks.push(chunk);
        if (show === "live") process.stdout.write(chunk);
    };
    const outcome = await timed(title, () =>
        run([mochaProgram, ...args], environment, ["ignore", "pipe", "pipe"], process.execPath, onOutput),
    );
    const output = Buffer.concat(chunks).toString("utf8");
    if (show === "afterwards") say(output);
    if (outcome.code === 0) return outcome;
    const list = output.search(/^ +\d+ failing$/m);
    const failures = list < 0 ? output.slice(-longestFailures) : output.slice(list, list + longestFailures);
    return { ...outcome, failures };
}

async function checkCode(): Promise<number> {
    for (const check of checks) {
        const code = await run(["run", "--silent", check], process.env, undefined, "npm");
        if (code !== 0) return code;
    }
    return 0;
}

const chosen = process.argv.slice(2);
const toolchain = await ensureToolchain(
    { pulumi: true, postgres: true, synapse: true, chromium: true, archives: true, s3: true },
    say,
);
const standIns = toolchain.pulumi?.plugins === "offline";
if (standIns)
    say("offline plugins in use: the end-to-end tests run on this project's stand-ins for Pulumi's own plugins");
const environment = { ...process.env, ...toolchain.pulumi?.environment, FORCE_COLOR: "0", NO_COLOR: "1" };

if (chosen.length > 0) process.exit(await run([mochaProgram, ...chosen], environment));

const coverage = await mkdtemp(join(tmpdir(), "synapse-migration-coverage-"));
const covered = { ...environment, NODE_V8_COVERAGE: coverage };
try {
    // Most of them wait for servers, so that two at a time fit on two cores.
    const others = [...ownSuites, ...ofFiles].flatMap((pattern) => ["--ignore", pattern]);
    const outcomes = await Promise.all([
        (async () => [
            await timed("types, lint, format, unused code", checkCode),
            await tests(
                "tests of the assessment, bundles, media, replication and tables",
                ofFiles,
                covered,
                "afterwards",
            ),
        ])(),
        (async () => [await tests("tests of the other parts", ["test/**/*.test.ts", ...others], covered, "live")])(),
    ]);
    const report = await timed("line coverage of contract, engine, steps and components", () =>
        run([coverageProgram, "report", "--temp-directory", coverage, "--check-coverage"], environment),
    );
    const all = [...outcomes.flat(), report];
    say("");
    for (const { title, code, seconds } of all)
        say(`${code === 0 ? "passed" : "FAILED"}  ${String(seconds).padStart(4)} s  ${title}`);
    for (const { title, failures } of all) if (failures !== undefined) say(`\n== ${title}: what failed\n${failures}`);
    if (standIns) say("what is declared with Pulumi ran on stand-ins for Pulumi's own plugins");
    process.exitCode = all.every(({ code }) => code === 0) ? 0 : 1;
} finally {
    await rm(coverage, { recursive: true, force: true });
}
