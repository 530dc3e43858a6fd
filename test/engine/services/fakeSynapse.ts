/** A program with Synapse's command line and Synapse's way of becoming a daemon (synapse/util/daemonize.py), for tests that stop and start it. */
import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { thisMachine } from "../../../engine/machines/local/localMachine.ts";
import { allProcesses, isAlive, waitForEnd, type ProcessFacts } from "../../../engine/machines/procfs.ts";
import { baseEnvironment } from "../../../engine/machines/program.ts";
import { startDetached } from "../../../engine/services/daemon.ts";
import { untilItPasses } from "../../support/waiting.ts";

const source = `
import atexit, json, os, signal, socket, sys, time
config = json.load(open(sys.argv[sys.argv.index("-c") + 1]))
if "port" in config:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", config["port"]))
    listener.listen()
    config["port"] = listener.getsockname()[1]
if config.get("fails"):
    print("IncorrectDatabaseSetup: of course")
    sys.exit(3)
if "--daemonize" in sys.argv:
    if os.fork() != 0:
        os._exit(0)
    os.setsid()
    os.umask(0o27)
    os.chdir("/")
    open(config["pid_file"], "w").write(str(os.getpid()))
    atexit.register(lambda: os.path.exists(config["pid_file"]) and os.remove(config["pid_file"]))
for line in config.get("children", []):
    if os.fork() == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN if line == "stubborn" else signal.SIG_DFL)
        time.sleep(60)
        os._exit(0)
signal.signal(signal.SIGTERM, signal.SIG_IGN if config.get("stubborn") else lambda *_: sys.exit(0))
mask = os.umask(0)
os.umask(mask)
open(config["told"], "w").write(json.dumps({"uid": os.getuid(), "groups": os.getgroups(), "cwd": os.getcwd(), "umask": mask, "names": sorted(os.environ), "pid": os.getpid()}))
while True:
    time.sleep(60)
`;

export interface FakeSynapse {
    readonly directory: string;
    readonly pidFile: string;
    readonly configFile: string;
    readonly argv: readonly string[];
    configure(config: object): Promise<void>;
    /** Starts it and waits until it has said how it runs. */
    start(options?: StartOptions): Promise<number>;
    readonly told: () => Promise<Record<string, unknown>>;
    /** Live processes of this fake alone. */
    processes(): Promise<ProcessFacts[]>;
    remove(): Promise<void>;
}

interface StartOptions {
    readonly user?: { uid: number; gid: number; groups?: number[] };
    readonly environment?: Record<string, string>;
    readonly argv?: readonly string[];
    readonly workingDirectory?: string;
}

export async function fakeSynapse(): Promise<FakeSynapse> {
    const directory = await mkdtemp(join(tmpdir(), "fake-synapse-"));
    await promisify(execFile)("chmod", ["0777", directory]);
    const packages = join(directory, "packages");
    await mkdir(join(packages, "synapse", "app"), { recursive: true });
    await writeFile(join(packages, "synapse", "app", "homeserver.py"), source);
    await writeFile(join(packages, "synapse", "app", "generic_worker.py"), source);
    const pidFile = join(directory, "homeserver.pid");
    const configFile = join(directory, "homeserver.yaml");
    const toldFile = join(directory, "told.json");
    const argv = ["/usr/bin/python3", "-m", "synapse.app.homeserver", "-c", configFile, "--daemonize"];
    const fake: FakeSynapse = {
        directory,
        pidFile,
        configFile,
        argv,
        configure: (config) => writeFile(configFile, JSON.stringify({ pid_file: pidFile, told: toldFile, ...config })),
        start: async (options = {}) => {
            await rm(toldFile, { force: true });
            const [program = "", ...args] = options.argv ?? argv;
            await startDetached({
                program,
                args,
                workingDirectory: options.workingDirectory ?? directory,
                environment: baseEnvironment({ PYTHONPATH: packages, ...options.environment }),
                ...(options.user === undefined ? {} : { user: options.user }),
                logFile: join(directory, "log"),
            });
            return Number((await untilItPasses(fake.told))["pid"]);
        },
        told: async () => JSON.parse(await readFile(toldFile, "utf8")) as Record<string, unknown>,
        processes: async () => (await allProcesses(thisMachine)).filter((found) => found.argv.includes(configFile)),
        remove: async () => {
            const left = await fake.processes();
            for (const found of left) if (await isAlive(thisMachine, found)) process.kill(found.pid, "SIGKILL");
            await waitForEnd(thisMachine, left, 5);
            await rm(directory, { recursive: true });
        },
    };
    await fake.configure({});
    return fake;
}
