/**
 * States what version 1.2.1 of the command plugin does, as far as the migration builds on it. Runs against the plugin that is
 * first on the PATH, official or stand-in, under the real engine.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { findPlugins } from "../../toolchain/pulumiPlugins.ts";
import { thisMachine } from "../../toolchain/machine.ts";
import { PulumiProject, type CommandOutputs, type Operation } from "./pulumiProject.ts";

/** A value of a planned argument: plain, secret, or another command's stdout. */
type Value = string | boolean | readonly Value[] | { readonly secret: string } | { readonly stdoutOf: string };
interface PlannedCommand {
    readonly arguments: Readonly<Record<string, Value | Readonly<Record<string, Value>>>>;
    readonly after?: readonly string[];
    readonly createTimeout?: string;
}
type Plan = Readonly<Record<string, PlannedCommand>>;

const program = `
import { readFileSync } from "node:fs";
import * as command from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
const made = {};
const value = (v) => Array.isArray(v) ? v.map(value) : typeof v !== "object" ? v
    : v.secret !== undefined ? pulumi.secret(v.secret) : v.stdoutOf !== undefined ? made[v.stdoutOf].stdout
    : Object.fromEntries(Object.entries(v).map(([k, x]) => [k, value(x)]));
for (const [name, plan] of Object.entries(JSON.parse(readFileSync("plan.json", "utf8")))) {
    made[name] = new command.local.Command(name, value(plan.arguments), {
        dependsOn: (plan.after ?? []).map((other) => made[other]),
        ...(plan.createTimeout ? { customTimeouts: { create: plan.createTimeout } } : {}),
    });
}
const args = { command: "cat; echo ran >> runs.txt", stdin: "asked", logging: "none", environment: { A: "b" } };
export const ran = (await command.local.run(args)).stdout;
export const ranSecretly = command.local.runOutput({ ...args, stdin: pulumi.secret("asked") }).stdout;
`;
const projectFile = "name: probe\nruntime: {name: nodejs, options: {typescript: false}}\nmain: index.mjs\n";

const secretSignature = "4dabf18193072939515e22adb298388d";
const reprint = 'printf %s "$PULUMI_COMMAND_STDOUT"';
const waitFor = (file: string): string =>
    `n=0; until [ -e ${file} ]; do n=$((n+1)); [ $n -lt 400 ] || exit 9; sleep 0.05; done`;
const wide = "x".repeat(70_000);

const kept = (remove: string): PlannedCommand => ({
    arguments: {
        create: 'cat; printf " %s" "$TOKEN"',
        update: reprint,
        delete: remove,
        stdin: { secret: "canary-stdin" },
        environment: { TOKEN: { secret: "canary-token" }, PLAIN: "plain" },
        logging: "none",
    },
});
const traced = (generation: string): PlannedCommand => ({
    arguments: {
        create: `echo create-${generation} >> order.txt`,
        delete: `echo delete-${generation} >> order.txt`,
        triggers: [generation],
    },
});
/** As a step of hours: what it has said is longer than Linux lets into one variable. */
const talkative = (more: PlannedCommand["arguments"]): PlannedCommand => ({
    arguments: {
        create: "n=0; while [ $n -lt 2000 ]; do n=$((n+1)); echo 'a line of seventy bytes, as a step of hours writes one each ten seconds' >&2; done",
        addPreviousOutputInEnv: false,
        logging: "none",
        ...more,
    },
});
/** The same text each time; only whether it is a secret changes. */
const veiled = (isSecret: boolean): PlannedCommand => ({
    arguments: {
        create: "cat",
        update: "echo updated >> veiled.txt; cat",
        stdin: isSecret ? { secret: "canary-veiled" } : "canary-veiled",
        logging: "none",
    },
});
const changing = (stamp: string): Plan => ({
    previous: {
        arguments: {
            create: "echo first; echo problem >&2",
            update: 'echo "$PULUMI_COMMAND_STDOUT/$PULUMI_COMMAND_STDERR"',
            environment: { STAMP: stamp },
        },
    },
    forgetful: {
        arguments: {
            create: "echo first",
            update: 'echo "[$PULUMI_COMMAND_STDOUT]"',
            addPreviousOutputInEnv: false,
            environment: { STAMP: stamp },
        },
    },
    repeated: { arguments: { create: "echo again >> repeated.txt", environment: { STAMP: stamp } } },
    updatedTalker: talkative({ update: 'echo "updated with [$PULUMI_COMMAND_STDERR]"', environment: { STAMP: stamp } }),
});
const steady: Plan = {
    deletedTalker: talkative({ delete: "echo deleted > talkative.txt" }),
    scripted: {
        arguments: {
            interpreter: [process.execPath, "-e"],
            create: 'console.log("in " + process.cwd()); console.error("scripted-unseen")',
            dir: "state",
            logging: "stdout",
        },
    },
    chatty: { arguments: { create: "echo chatty-out; echo chatty-err >&2" } },
    halfway: { arguments: { create: "echo halfway-unseen; echo halfway-err >&2", logging: "stderr" } },
    silent: { arguments: { create: "echo silent-unseen; echo silent-unseen >&2", logging: "none" } },
    wide: { arguments: { create: `printf %s ${wide}`, logging: "none" } },
    slow: { arguments: { create: `echo slow-line >&2; ${waitFor("seen")}; echo seen`, logging: "stderr" } },
    left: { arguments: { create: `touch left; ${waitFor("right")}` } },
    right: { arguments: { create: `touch right; ${waitFor("left")}` } },
    dependent: {
        arguments: { create: "cat; echo ran >> dependent.txt", stdin: { stdoutOf: "kept" }, logging: "none" },
    },
};
const first: Plan = {
    ...{ kept: kept("cat > deleted.txt"), traced: traced("1") },
    ...{ veiled: veiled(false), unveiled: veiled(true) },
    ...changing("1"),
    ...steady,
};
const everything = Object.keys(first);
const failing: Plan = {
    failing: {
        arguments: {
            create: "echo its-out; echo its-err >&2; exit 3",
            delete: "touch failing-deleted",
            logging: "none",
        },
        after: everything,
    },
    binary: {
        arguments: {
            create: "echo before-binary; printf '\\377\\n'; echo after-binary; touch binary-ran",
            delete: "touch binary-deleted",
            logging: "stdout",
        },
        after: everything,
    },
    endless: {
        arguments: { create: "exec sleep 60", delete: "touch endless-deleted" },
        after: everything,
        createTimeout: "1s",
    },
};
const second: Plan = {
    kept: kept("cat > deleted.txt; echo changed >> deleted.txt"),
    traced: traced("2"),
    ...{ veiled: veiled(true), unveiled: veiled(false) },
    ...changing("2"),
    ...steady,
};
const hanging: Plan = {
    hanging: {
        arguments: {
            create: "sleep 300 >/dev/null 2>&1 & echo $! > grandchild.pid; echo $$ > child.pid; echo hanging-line >&2; wait",
            delete: "touch hanging-deleted",
        },
    },
};

describe("the command plugin", function () {
    this.timeout(90_000);
    let project: PulumiProject;

    const up = async (
        plan: Plan,
        onLine: Parameters<PulumiProject["operate"]>[1]["onLine"] = () => undefined,
    ): Promise<Operation> => {
        await project.write("plan.json", JSON.stringify(plan));
        return project.operate(["up", "--yes", "--skip-preview", "--parallel", "30"], { onLine });
    };
    const isAlive = (pid: string): boolean => {
        try {
            return process.kill(Number(pid), 0);
        } catch {
            return false;
        }
    };

    before(async () => {
        project = await PulumiProject.make({ "Pulumi.yaml": projectFile, "index.mjs": program });
        for (const { name, kind } of findPlugins(thisMachine(), project.toolchain)) console.log(`    ${name}: ${kind}`);
    });

    after(async () => {
        const grandchild = await project.read("grandchild.pid");
        if (grandchild !== "" && isAlive(grandchild)) process.kill(Number(grandchild), "SIGKILL");
        await project.remove();
    });

    describe("in a preview", () => {
        let preview: Operation;
        before(async () => {
            await project.write("plan.json", JSON.stringify(first));
            preview = await project.pulumi("preview", "--json");
        });

        it("runs local.run, and gives its output to the program", async () => {
            expect(preview.exitCode, preview.output).to.equal(0);
            expect(await project.read("runs.txt")).to.equal("ran\nran\n");
        });
        it("runs no command of a resource, with inputs that are not known yet or without", async () => {
            expect([await project.read("order.txt"), await project.read("dependent.txt")]).to.deep.equal(["", ""]);
        });
    });

    describe("creating", () => {
        let created: Operation;
        let state: CommandOutputs;
        before(async () => {
            created = await up({ ...first, ...failing }, (line) => {
                if (line.includes("slow-line")) void project.write("seen", "");
            });
            state = await project.commands();
        });

        it("logs each line while the command still runs", () => {
            expect(state["slow"]).to.deep.include({ stdout: "seen", stderr: "slow-line" });
        });
        it("logs both streams, one of them or none, as told, and keeps both whatever is logged", () => {
            expect(created.output).to.include("chatty-out").and.to.include("chatty-err").and.to.include("halfway-err");
            expect(created.output).to.include("in /").and.not.to.include("-unseen");
            expect(state["halfway"]).to.deep.include({ stdout: "halfway-unseen", stderr: "halfway-err" });
            expect(state["silent"]).to.deep.include({ stdout: "silent-unseen", stderr: "silent-unseen" });
        });
        it("shows a line as a status only: at the end it is gone, unlike the error of a command that failed", () => {
            const [live = "", end = ""] = created.output.split("Diagnostics:");
            expect(live).to.include("chatty-out").and.to.include("halfway-err").and.to.include("slow-line");
            expect(end).to.include("its-err");
            for (const said of ["chatty-out", "chatty-err", "halfway-err", "slow-line"])
                expect(end, said).to.not.include(said);
        });
        it("fails a command whose output is no UTF-8, although it ran to its end, and logs the lines around it", () => {
            expect(existsSync(join(project.directory, "binary-ran"))).to.equal(true);
            expect(created.output).to.include("invalid UTF-8");
            expect(created.output).to.include("before-binary").and.to.include("after-binary");
            expect(state).to.not.have.any.keys("binary");
        });
        it("runs commands at the same time", () => {
            expect(state).to.include.keys("left", "right");
        });
        it("runs the interpreter in the directory given, without a shell", () => {
            expect(state["scripted"]).to.deep.include({
                stdout: `in ${project.directory}/state`,
                stderr: "scripted-unseen",
            });
        });
        it("keeps secret inputs secret in the state, each at its own path", () => {
            expect(state["kept"]?.["stdin"]).to.have.property(secretSignature);
            expect(state["kept"]?.["environment"]).to.have.property("PLAIN", "plain");
            expect(state["kept"]?.["environment"]).to.have.nested.property(`TOKEN.${secretSignature}`);
        });
        it("keeps stdout in the open although stdin is secret", () => {
            expect(state["kept"]).to.have.property("stdout", "canary-stdin canary-token");
        });
        it("gives one command's stdout to the next one's stdin", () => {
            expect(state["dependent"]).to.have.property("stdout", "canary-stdin canary-token");
        });
        it("takes a line of 70 KB when it is not logged", () => {
            expect(state["wide"]).to.have.property("stdout", wide);
        });
        it("says exit status, command text and the whole output of a failed command", () => {
            expect(created.exitCode).to.not.equal(0);
            expect(created.output).to.include('exit status 3: running "echo its-out; echo its-err >&2; exit 3":');
            expect(created.output).to.match(/its-out\n\s*its-err|its-err\n\s*its-out/);
        });
        it("kills a command that takes longer than its custom timeout", () => {
            expect(created.output).to.include('signal: killed: running "exec sleep 60"');
        });
        it("does not record what failed to be created", () => {
            expect(state).to.include.keys(everything).and.not.to.have.any.keys("failing", "endless", "binary");
        });
    });

    describe("updating", () => {
        let state: CommandOutputs;
        let updated: Operation;
        before(async () => {
            updated = await up(second);
            state = await project.commands();
        });

        it("runs update when only the text of delete changed, and keeps an output that update prints again", () => {
            expect(updated.exitCode, updated.output).to.equal(0);
            expect(state["kept"]).to.have.property("stdout", "canary-stdin canary-token");
            expect(updated.output).to.include("7 updated").and.to.include("1 replaced");
        });
        it("runs update when a value becomes secret, or stops being one, and nothing else changed", async () => {
            expect(await project.read("veiled.txt")).to.equal("updated\nupdated\n");
            expect(state["veiled"]?.["stdin"]).to.have.property(secretSignature);
            expect(state["unveiled"]).to.include({ stdin: "canary-veiled", stdout: "canary-veiled" });
        });
        it("creates the new one first and deletes the old one after it when triggers changed", async () => {
            expect(await project.read("order.txt")).to.equal("create-1\ncreate-2\ndelete-1\n");
        });
        it("gives the previous output in the environment, unless told not to", () => {
            expect(state["previous"]).to.deep.include({ stdout: "first/problem", stderr: "" });
            expect(state["forgetful"]).to.have.property("stdout", "[]");
        });
        it("updates what has said 140 KB, when the previous output is not in the environment", () => {
            expect(state["updatedTalker"]).to.have.property("stdout", "updated with []");
        });
        it("runs create again when there is no update", async () => {
            expect(await project.read("repeated.txt")).to.equal("again\nagain\n");
        });
        it("still keeps secret inputs secret", () => {
            expect(state["kept"]?.["stdin"]).to.have.property(secretSignature);
            expect(state["kept"]?.["environment"]).to.have.nested.property(`TOKEN.${secretSignature}`);
        });
    });

    describe("cancelled", () => {
        let cancelled: Operation;
        before(async () => {
            let signalled = false;
            cancelled = await up({ ...second, ...hanging }, (line, signal) => {
                // A second one would have the engine end at once, and leave its lock behind.
                if (line.includes("hanging-line") && !signalled) signal("SIGINT");
                signalled ||= line.includes("hanging-line");
            });
        });

        it("kills the interpreter at once, and not what the interpreter started", async () => {
            expect(cancelled.exitCode).to.not.equal(0);
            expect(cancelled.output).to.include("signal: killed").and.to.include("cancelling");
            expect(isAlive(await project.read("child.pid")), "the interpreter is alive").to.equal(false);
            expect(isAlive(await project.read("grandchild.pid")), "its child is alive").to.equal(true);
        });
        it("leaves alone what has not changed", async () => {
            expect(await project.read("repeated.txt")).to.equal("again\nagain\n");
            expect(await project.read("veiled.txt")).to.equal("updated\nupdated\n");
        });
    });

    describe("deleting", () => {
        before(async () => {
            const destroyed = await project.pulumi("destroy", "--yes", "--skip-preview");
            expect(destroyed.exitCode, destroyed.output).to.equal(0);
        });

        it("runs the stored delete with the stored stdin", async () => {
            expect(await project.read("deleted.txt")).to.equal("canary-stdinchanged\n");
            expect(await project.read("order.txt")).to.equal("create-1\ncreate-2\ndelete-1\ndelete-2\n");
        });
        it("deletes what had said 140 KB", async () => {
            expect(await project.read("talkative.txt")).to.equal("deleted\n");
        });
        it("never runs the delete of what was not created", () => {
            for (const name of ["failing", "endless", "hanging", "binary"])
                expect(existsSync(join(project.directory, `${name}-deleted`)), name).to.equal(false);
        });
    });
});
