/** What the stand-ins are made of, where it needs no engine. That they behave like the official plugins: commandPlugin.test.ts. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { expect } from "chai";
import fc from "fast-check";
import { until } from "../../engine/run/until.ts";
import { problemsOf } from "../../toolchain/offline/commandInputs.ts";
import { lockedDependencies } from "../../toolchain/offline/lockedDependencies.ts";
import { runCommandProcess, type CommandProcess } from "../../toolchain/offline/commandProcess.ts";
import { engineAddress } from "../../toolchain/offline/pluginServer.ts";
import {
    changesBetween,
    hasUnknown,
    presentProperties,
    revealedProperties,
    unknownValue,
    type Properties,
} from "../../toolchain/offline/propertyValues.ts";
import { dependenciesOf } from "../../toolchain/offline/requiredPackages.ts";

const offline = join(dirname(dirname(import.meta.dirname)), "toolchain/offline");
const secret = (value: string): Properties => ({
    "4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270",
    value,
});
const properties = fc.dictionary(
    fc.string(),
    fc.oneof(fc.string(), fc.boolean(), fc.array(fc.string()), fc.dictionary(fc.string(), fc.string())),
);

describe("property values", () => {
    it("are used without their secret wrappers, at every depth, and null is absent", () => {
        const value = { stdin: secret("a"), environment: { B: secret("b") }, triggers: [secret("c"), null], dir: null };
        expect(revealedProperties(value)).to.deep.equal({ stdin: "a", environment: { B: "b" }, triggers: ["c", null] });
    });

    it("are unknown when a part is", () => {
        expect(hasUnknown({ a: [{ b: unknownValue }] })).to.equal(true);
        expect(hasUnknown({ a: [{ b: "known" }, null, 1] })).to.equal(false);
    });

    it("differ by path, as the engine writes paths", () => {
        const old = { create: "a", triggers: ["1", "2"], environment: { A: "1", "b.c": "2" }, dir: "x" };
        const now = { create: "b", triggers: ["1"], environment: { A: "1", "b.c": "3", D: "4" }, stdin: "y", dir: "x" };
        expect(Object.fromEntries(changesBetween(old, now))).to.deep.equal({
            create: "update",
            "triggers[1]": "delete",
            'environment["b.c"]': "update",
            "environment.D": "add",
            stdin: "add",
        });
    });

    it("have changed when they become secret or stop being it, and a secret is one value", () => {
        const old = {
            stdin: "a",
            dir: secret("b"),
            environment: { A: secret("c"), B: secret("d") },
            create: secret("e"),
        };
        const now = {
            stdin: secret("a"),
            dir: "b",
            environment: { A: secret("x"), B: secret("d") },
            create: secret("e"),
        };
        expect(Object.fromEntries(changesBetween(old, now))).to.deep.equal({
            ...{ stdin: "update", dir: "update", "environment.A": "update" },
        });
        expect(presentProperties({ stdin: secret("a"), dir: null, triggers: [null] })).to.deep.equal({
            ...{ stdin: secret("a"), triggers: [null] },
        });
    });

    it("do not differ from themselves, and differ both ways or not at all", () => {
        fc.assert(
            fc.property(properties, properties, (a, b) => {
                expect(changesBetween(a, structuredClone(a)).size).to.equal(0);
                expect([...changesBetween(a, b).keys()].sort()).to.deep.equal([...changesBetween(b, a).keys()].sort());
            }),
        );
    });
});

describe("inputs of a command", () => {
    it("are refused when they are unknown to 1.2.1 or of another kind", () => {
        const problems = problemsOf({ crate: "true", environment: { A: 1 }, logging: "loud" });
        expect(problems.map(({ property }) => property)).to.have.members(["crate", "environment.A", "logging"]);
    });

    it("are not judged while they are not known", () => {
        expect(problemsOf({ create: unknownValue, environment: { A: unknownValue } })).to.deep.equal([]);
    });

    it("are refused when they ask for what the stand-in does not do", () => {
        expect(problemsOf({ assetPaths: ["*.txt"] })[0]?.reason)
            .to.include("stand-in")
            .and.to.include("official plugin");
    });
});

describe("a command's process", () => {
    const run = (command: string, changes: Partial<CommandProcess> = {}): ReturnType<typeof runCommandProcess> =>
        runCommandProcess({
            interpreter: ["/bin/sh", "-c"],
            command,
            environment: {},
            logged: { stdout: false, stderr: false },
            log: () => Promise.resolve(),
            signal: new AbortController().signal,
            ...changes,
        });
    const messageOf = async (promise: Promise<unknown>): Promise<string> => {
        try {
            await promise;
        } catch (error) {
            return error instanceof Error ? error.message : String(error);
        }
        return "no error";
    };

    it("gives its lines to the log in order, one at a time, the unfinished last one too", async () => {
        const lines: string[] = [];
        let open = 0;
        const log = async (line: string): Promise<void> => {
            expect(++open).to.equal(1);
            await Promise.resolve();
            lines.push(line);
            open--;
        };
        const { stdout } = await run("printf 'a\\r\\n\\nü\\nlast'", { logged: { stdout: true, stderr: true }, log });
        expect(lines).to.deep.equal(["a", "", "ü", "last"]);
        expect(stdout).to.equal("a\r\n\nü\nlast");
    });

    it("fails on a logged line of 64 KiB, at which the official plugin waits for ever", async () => {
        const wide = "head -c 70000 /dev/zero | tr '\\0' x; exec sleep 60";
        const message = await messageOf(run(wide, { logged: { stdout: true, stderr: false } }));
        expect(message).to.include("on a logged stream");
    });

    it("loses exactly one newline at the end of what is kept", async () => {
        expect(await run("printf 'a\\n\\n'; printf b >&2")).to.deep.equal({
            ...{ stdout: "a\n", stderr: "b" },
            isUtf8: true,
        });
    });

    it("logs no line that is no text, and says that not all of its output is", async () => {
        const lines: string[] = [];
        const log = (line: string): Promise<void> => Promise.resolve(void lines.push(line));
        const logged = { stdout: true, stderr: false };
        const { isUtf8 } = await run("printf 'a\\n\\377\\nü\\n'; printf '\\303'; sleep 0.1; printf '\\274'", {
            logged,
            log,
        });
        expect([lines, isUtf8]).to.deep.equal([["a", "ü", "ü"], false]);
        expect((await run("printf '\\376' >&2")).isUtf8).to.equal(false);
    });

    it("need not read its input", async () => {
        expect((await run("exec true", { stdin: "x".repeat(1_000_000) })).stdout).to.equal("");
    });

    it("does not start when it was cancelled before", async () => {
        expect(await messageOf(run("echo x", { signal: AbortSignal.abort() }))).to.match(
            /^context canceled: running "echo x"/,
        );
    });

    it("says why it could not be started", async () => {
        expect(await messageOf(run("x", { interpreter: ["/nowhere/sh"] }))).to.include("ENOENT");
    });
});

describe("what a program needs", () => {
    let directory: string;
    before(async () => {
        directory = await mkdtemp(join(tmpdir(), "synapse-migration-packages-"));
        const write = async (path: string, content: unknown): Promise<void> => {
            await mkdir(dirname(join(directory, path)), { recursive: true });
            await writeFile(join(directory, path), JSON.stringify(content));
        };
        await write("package.json", { dependencies: { plain: "1", "@pulumi/cloud": "2", other: "3", absent: "4" } });
        await write("node_modules/plain/package.json", { version: "1.0.1" });
        await write("node_modules/@pulumi/cloud/package.json", { version: "2.0.2", pulumi: { resource: true } });
        await write("node_modules/other/package.json", {
            version: "3.0.3",
            pulumi: { resource: true, name: "renamed", version: "9.9.9" },
        });
        await mkdir(join(directory, "deep/program"), { recursive: true });
    });
    after(() => rm(directory, { recursive: true, force: true }));

    it("is read from the nearest package.json above it, plugins from the packages' own", () => {
        expect(dependenciesOf(join(directory, "deep/program"))).to.deep.equal([
            { name: "plain", version: "1.0.1" },
            { name: "@pulumi/cloud", version: "2.0.2", plugin: { name: "cloud", version: "2.0.2" } },
            { name: "other", version: "3.0.3", plugin: { name: "renamed", version: "9.9.9" } },
        ]);
    });

    it("is nothing where there is no package.json", () => {
        expect(dependenciesOf("/proc/self")).to.deep.equal([]);
    });
});

describe("what a program depends on", () => {
    let directory: string;
    const write = (path: string, content: unknown): Promise<void> =>
        writeFile(join(directory, path), typeof content === "string" ? content : JSON.stringify(content));
    beforeEach(async () => {
        directory = await mkdtemp(join(tmpdir(), "synapse-migration-locked-"));
        await mkdir(join(directory, "deep/program"), { recursive: true });
        await write("package.json", { dependencies: { a: "^1", "@x/b": "2", gone: "3" }, devDependencies: { c: "*" } });
    });
    afterEach(() => rm(directory, { recursive: true, force: true }));
    const locked = () => lockedDependencies(join(directory, "deep/program"));

    it("has the versions of the lock file, whatever is installed, and nothing that others bring along", async () => {
        const packages = {
            "": {},
            "node_modules/a": { version: "1.4.2" },
            "node_modules/@x/b": { version: "2.0.0" },
            "node_modules/c": { version: "0.3.0" },
            "node_modules/a/node_modules/c": { version: "9.9.9" },
            "node_modules/indirect": { version: "5.0.0" },
        };
        await write("package-lock.json", { lockfileVersion: 3, packages });
        const expected = [
            { name: "a", version: "1.4.2" },
            { name: "@x/b", version: "2.0.0" },
            { name: "c", version: "0.3.0" },
        ];
        expect(locked()).to.deep.equal(expected);
        const dependencies = { a: { version: "1.4.2" }, "@x/b": { version: "2.0.0" }, c: { version: "0.3.0" } };
        await write("package-lock.json", { lockfileVersion: 1, dependencies });
        expect(locked()).to.deep.equal(expected);
    });

    it("is not known without a lock file, nor by one of yarn's", async () => {
        expect(locked).to.throw(
            /^no package-lock\.json or yarn\.lock file found \(searching upwards from .*program\)$/,
        );
        await write("yarn.lock", "");
        await write("package-lock.json", {});
        expect(locked).to.throw("yarn.lock");
    });
});

describe("a stand-in", () => {
    const programs = [join(offline, "command/pulumi-resource-command"), join(offline, "nodejs/pulumi-language-nodejs")];

    it("is told where the engine listens by the last argument that is no flag", () => {
        expect(engineAddress(["--tracing=x", "127.0.0.1:1"])).to.equal("127.0.0.1:1");
        expect(engineAddress(["--version"])).to.equal(undefined);
    });

    for (const program of programs) {
        it(`calls itself one: ${program.slice(offline.length + 1)}`, async () => {
            const child = spawn(program, ["--version"], { cwd: "/" });
            expect(String(await once(child.stdout, "data"))).to.match(/stand-in .* for the official/);
        });

        it(`prints its port first and ends when asked to: ${program.slice(offline.length + 1)}`, async () => {
            const child = spawn(program, ["127.0.0.1:9"], { cwd: "/" });
            expect(String(await once(child.stdout, "data"))).to.match(/^\d+\n$/);
            child.kill("SIGTERM");
            expect(await once(child, "exit")).to.deep.equal([0, null]);
        });
    }

    it("ends by itself when the engine was killed", async () => {
        const engine = spawn("sh", ["-c", `"$0" 127.0.0.1:9 & echo $!; wait`, programs[0] ?? ""], {
            stdio: ["ignore", "pipe", "ignore"],
        });
        let text = "";
        for await (const chunk of engine.stdout) {
            text += String(chunk);
            if (text.split("\n").length > 2) break;
        }
        const pid = Number(text.split("\n")[0]);
        engine.kill("SIGKILL");
        const isAlive = (): boolean => {
            try {
                return process.kill(pid, 0);
            } catch {
                return false;
            }
        };
        await until(() => !isAlive() || undefined, { seconds: 8 });
        expect(isAlive()).to.equal(false);
    });
});
