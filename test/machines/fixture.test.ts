import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync, existsSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { expect } from "chai";
import { baseEnvironment, runProgram } from "../../engine/machines/program.ts";
import { lineProgress } from "../../engine/run/progress.ts";
import { checkHomeserver } from "../../rehearsal/check.ts";
import { processesBelow } from "../../rehearsal/directory.ts";
import { smallPopulation } from "../support/synapse.ts";
import { untilTrue } from "../support/waiting.ts";
import { baseMachine } from "../../rehearsal/machines/baseMachine.ts";
import { installDebianSynapse, type DebianSynapse } from "../../rehearsal/machines/debianSynapse.ts";
import { bootMachine, type BootedMachine } from "../../rehearsal/machines/machine.ts";

const silent = lineProgress(
    "check",
    () => undefined,
    (text) => text,
);

/** What there is of a machine on this one: of those that are named after its directory, as all of it is. */
async function remainsOf(directory: string): Promise<string[]> {
    const number = basename(directory).slice(1);
    const devices = (await runProgram("ip", ["-o", "link"], { timeoutSeconds: 20 })).stdout.split("\n");
    const mounts = readFileSync("/proc/self/mountinfo", "utf8").split("\n");
    const groups = readdirSync("/sys/fs/cgroup", { recursive: true, encoding: "utf8" });
    return [
        ...devices.filter((line) => line.includes(`sm${number}`)),
        ...mounts.filter((line) => line.includes(directory)),
        ...groups.filter((path) => path.endsWith(`synapse-migration-m${number}`)),
        ...processesBelow(directory).map(({ command }) => command),
        ...(existsSync(directory) ? [directory] : []),
    ];
}

const directoryOf = ({ access }: BootedMachine): string => dirname(access.identityFile);

/** A test process of its own, which boots a machine and then does as it is told. */
async function bootElsewhere(then: string): Promise<{ directory: string; child: ChildProcess }> {
    const module = join(import.meta.dirname, "..", "..", "rehearsal", "machines", "machine.ts");
    const program = `import { bootMachine } from ${JSON.stringify(module)};
        const { access } = await bootMachine({ name: "orphan" });
        process.stdout.write(access.identityFile + "\\n");
        process.stdin.on("data", () => { ${then} });`;
    const args = ["--import", "tsx", "--input-type=module", "--eval", program];
    const child = spawn(process.execPath, args, { env: baseEnvironment(), stdio: ["pipe", "pipe", "inherit"] });
    const words: unknown[] = await once(child.stdout, "data", { signal: AbortSignal.timeout(60_000) });
    return { directory: dirname(String(words[0]).trim()), child };
}

async function isTheServer({ baseUrl, expectations }: DebianSynapse): Promise<void> {
    if (expectations === undefined) throw new Error("it was not filled");
    const results = await checkHomeserver({ baseUrl, expectations, progress: silent });
    expect(results.filter(({ passed }) => !passed)).to.deep.equal([]);
}

describe("whole machines for tests", function () {
    this.timeout(300_000);
    before("a Debian for them", async function () {
        this.timeout(3_600_000);
        await baseMachine();
    });

    describe("a machine", () => {
        let machine: BootedMachine;
        before(async () => {
            machine = await bootMachine({ name: "old" });
        });
        after(() => machine.end());

        it("has systemd as its first process, and no unit that failed", async () => {
            expect(await machine.run(["cat", "/proc/1/comm"])).to.equal("systemd\n");
            expect(await machine.run(["systemctl", "is-system-running"])).to.equal("running\n");
            expect(await machine.run(["hostname"])).to.equal("old\n");
        });

        it("starts no server but sshd until a deployment does", async () => {
            const listening = await machine.run(["ss", "--no-header", "--listening", "--tcp", "--numeric"]);
            const ports = listening.split("\n").flatMap((line) => /:(\d+)\s/.exec(line)?.[1] ?? []);
            expect([...new Set(ports)]).to.deep.equal(["22"]);
        });

        it("lets its operator become root, and passes words on as they are", async () => {
            const words = ["a b", "it's", "$HOME", "*", "\\", "", "ü\n;"];
            const printf = ["sudo", "-n", "printf", "<%s>", ...words];
            expect(await machine.run(printf, { user: "admin" })).to.equal(words.map((word) => `<${word}>`).join(""));
            expect(await machine.run(["sudo", "-n", "id", "-u"], { user: "admin" })).to.equal("0\n");
        });

        it("gets files with the mode and the owner that they are to have", async () => {
            await machine.write("/srv/one/secret", "content\n", { mode: 0o640, owner: "postgres" });
            const stat = ["stat", "--format=%a %U %G %s", "/srv/one/secret"];
            expect(await machine.run(stat)).to.equal("640 postgres postgres 8\n");
        });

        it("has no way out", async () => {
            const routes = await machine.run(["ip", "-4", "route"]);
            expect(routes).to.not.contain("default");
            expect(await machine.run(["ip", "-6", "route", "show", "default"])).to.equal("");
        });

        it("runs Docker, which makes what containers need", async () => {
            await machine.run(["systemctl", "start", "docker.service"]);
            await machine.run(["docker", "network", "create", "some"]);
            const driver = await machine.run(["docker", "info", "--format", "{{.Driver}}"]);
            expect(driver).to.equal("overlay2\n");
        });

        it("is another boot after a reboot and after a power cut, with all that was written and all that is enabled", async () => {
            const boot = (): Promise<string> => machine.run(["cat", "/proc/sys/kernel/random/boot_id"]);
            await machine.write("/root/kept", "kept\n");
            await machine.run(["systemctl", "enable", "nginx.service"]);
            const boots = [await boot()];
            for (const again of [() => machine.reboot(), () => machine.powerCut()]) {
                await machine.run(["touch", "/run/gone"]);
                await again();
                expect(await machine.run(["cat", "/root/kept"])).to.equal("kept\n");
                expect(await machine.run(["systemctl", "is-active", "nginx.service"])).to.equal("active\n");
                expect(await machine.run(["find", "/run", "-maxdepth", "1", "-name", "gone"])).to.equal("");
                boots.push(await boot());
            }
            expect(new Set(boots)).to.have.property("size", 3);
        });

        it("is off when its power is cut, and its files are still there to be looked at", async () => {
            await machine.cutPower();
            expect(readFileSync(machine.path("/root/kept"), "utf8")).to.equal("kept\n");
            expect(
                await machine.run(["true"]).then(
                    () => "on",
                    () => "off",
                ),
            ).to.equal("off");
            await machine.start();
            expect(await machine.run(["hostname"])).to.equal("old\n");
        });
    });

    it("two at once reach each other, and a unit of one is none of the other's", async () => {
        await using one = await bootMachine({ name: "one" });
        await using other = await bootMachine({ name: "other" });
        for (const machine of [one, other]) await machine.run(["systemctl", "start", "nginx.service"]);
        const program = "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1], timeout=10).status)";
        const ask = (from: BootedMachine, to: BootedMachine): Promise<string> =>
            from.run(["python3", "-c", program, `http://${to.address}/`]);
        expect(await ask(one, other)).to.equal("200\n");
        expect(await ask(other, one)).to.equal("200\n");
        // Processes of another machine would be there as 0 (cgroups(7)), and no unit would be seen to stop.
        const groups = ["find", "/sys/fs/cgroup", "-path", "*/nginx.service/cgroup.procs"];
        const processes = await one.run([...groups, "-exec", "cat", "{}", "+"]);
        expect(processes.trim().split("\n")).to.satisfy((pids: string[]) => pids.every((pid) => Number(pid) > 0));
        await one.run(["systemctl", "stop", "nginx.service"], { timeoutSeconds: 20 });
        expect(await ask(one, other)).to.equal("200\n");
        expect(await other.run(["systemctl", "is-active", "nginx.service"])).to.equal("active\n");
    });

    describe("nothing is left", () => {
        it("of a machine that was ended, with Docker and PostgreSQL running in it", async () => {
            const machine = await bootMachine({ name: "short" });
            const directory = directoryOf(machine);
            await machine.run(["systemctl", "start", "docker.service", "postgresql.service"]);
            expect(await remainsOf(directory)).to.not.have.length(0);
            await machine.end();
            expect(await remainsOf(directory)).to.deep.equal([]);
        });

        it("of a machine that its test forgot", async () => {
            const { directory, child } = await bootElsewhere("process.exit(0);");
            child.stdin?.end("now");
            await once(child, "exit");
            expect(await remainsOf(directory)).to.deep.equal([]);
        });

        it("but a directory and groups when the test process was killed, and those until the next machine is booted", async () => {
            const { directory, child } = await bootElsewhere("");
            child.kill("SIGKILL");
            await once(child, "exit");
            await untilTrue(() => Promise.resolve(processesBelow(directory).length === 0));
            expect(await remainsOf(directory)).to.include(directory);
            await (await bootMachine({ name: "next" })).end();
            expect(await remainsOf(directory)).to.deep.equal([]);
        });
    });

    for (const { title, options } of [
        { title: "one process, PostgreSQL by its socket", options: { database: "socket" } },
        { title: "two workers, PostgreSQL over TCP", options: { database: "tcp", workers: 2 } },
    ] as const) {
        describe(`a Debian-style Synapse: ${title}`, () => {
            let machine: BootedMachine;
            let synapse: DebianSynapse;
            before(async () => {
                machine = await bootMachine({ name: "old" });
                synapse = await installDebianSynapse(machine, { ...options, population: smallPopulation });
            });
            after(() => machine.end());

            it("keeps its key to itself, and its media where its package has them", async () => {
                const stat = ["stat", "--format=%a %U", synapse.signingKeyFile];
                expect(await machine.run(stat)).to.equal("600 matrix-synapse\n");
                expect(await machine.run(["find", synapse.mediaStore, "-type", "f"])).to.contain("local_content");
            });

            it("comes back with its machine as the server that it was, after a reboot and after a power cut", async () => {
                await isTheServer(synapse);
                await machine.reboot();
                expect(await synapse.answers()).to.equal(true);
                await machine.powerCut();
                const states = await machine.run(["systemctl", "is-active", ...synapse.services]);
                expect(states).to.equal("active\n".repeat(synapse.services.length));
                await isTheServer(synapse);
            });

            it("comes back when its process is killed, as its unit says", async () => {
                await machine.run(["systemctl", "kill", "--signal=KILL", "matrix-synapse.service"]);
                await untilTrue(async () => !(await synapse.answers()));
                await untilTrue(() => synapse.answers());
            });
        });
    }
});
