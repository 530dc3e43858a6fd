/** A real Synapse as source: started as its own daemon, so that a fence can stop it and start it again. */
import { readFileSync } from "node:fs";
import { serviceUser } from "../../engine/machines/serviceUser.ts";
import { runProgram } from "../../engine/machines/program.ts";
import { MigrationError } from "../../engine/run/errors.ts";
import { until } from "../../engine/run/until.ts";
import { makeServiceDirectory, signalIfThere } from "../directory.ts";
import { freePort } from "../../engine/machines/freePort.ts";
import type { DatabaseAddress } from "./cluster.ts";
import { writeHomeserverFiles, type HomeserverFiles, type SqliteFile } from "./homeserverConfig.ts";

/** What a homeserver keeps its rows in: a cluster's database, or a file. */
export interface SourceDatabase {
    readonly synapse: DatabaseAddress | SqliteFile;
    /** Runs one statement in it. */
    query(statement: string): Promise<{ readonly rows: readonly unknown[] }>;
}

export interface SourceHomeserverArgs {
    /** Made for the homeserver; must not hold anything. */
    readonly directory: string;
    /** Of an environment that has Synapse; the service user must be able to run it. */
    readonly python: string;
    readonly serverName: string;
    readonly cluster: SourceDatabase;
}

const startSeconds = 60;
const stopSeconds = 30;
const pollMilliseconds = 50;

/** A running Synapse with files and secrets of its own. */
export class SourceHomeserver {
    private constructor(
        public readonly serverName: string,
        /** `http://127.0.0.1:<port>`, without a final slash. */
        public readonly baseUrl: string,
        public readonly files: HomeserverFiles,
        /** Starts it so that it outlives its caller, an argument a word; to be run as {@link serviceUser}. */
        public readonly startCommand: readonly string[],
        private readonly directory: string,
        private readonly cluster: SourceDatabase,
    ) {}

    /**
     * Writes its files, starts it and waits until it answers.
     *
     * @throws MigrationError SM-E1190 with the end of its log when it does not answer in time
     */
    public static async start(args: SourceHomeserverArgs): Promise<SourceHomeserver> {
        const { directory, serverName, python, cluster } = args;
        await refuseUnlessRunnable(python);
        makeServiceDirectory(directory);
        const port = await freePort();
        const files = writeHomeserverFiles({ directory, serverName, database: cluster.synapse, port });
        const homeserver = new SourceHomeserver(
            serverName,
            `http://127.0.0.1:${port}`,
            files,
            [python, "-m", "synapse.app.homeserver", "--config-path", files.configFile, "--daemonize"],
            directory,
            cluster,
        );
        try {
            await homeserver.startAgain();
        } catch (error) {
            await homeserver.stop();
            throw error;
        }
        return homeserver;
    }

    /** Starts it after a {@link stop}. */
    public async startAgain(): Promise<void> {
        const [program, ...args] = this.startCommand;
        if (program === undefined) throw new Error("the start command is empty");
        const user = serviceUser();
        const options = { workingDirectory: this.directory, timeoutSeconds: startSeconds };
        await runProgram(program, args, user === undefined ? options : { ...options, user });
        await this.reach(startSeconds, () => this.answers(), "it did not answer /health");
    }

    /** Whether it answers. */
    public async answers(): Promise<boolean> {
        return fetch(`${this.baseUrl}/health`, { signal: AbortSignal.timeout(2000) }).then(
            (response) => response.ok,
            () => false,
        );
    }

    /** Waits until Synapse has brought its database up to date: a migration of a younger one is a special case. */
    public async backgroundUpdatesDone(timeoutSeconds: number): Promise<void> {
        const pending = async (): Promise<number> =>
            (await this.cluster.query("SELECT update_name FROM background_updates")).rows.length;
        await this.reach(timeoutSeconds, async () => (await pending()) === 0, "it still had background updates to do");
    }

    /** Stops it, with SIGKILL when it takes too long. Does nothing when it does not run. */
    public async stop(): Promise<void> {
        const pid = this.pid();
        if (pid === undefined) return;
        for (const signal of ["SIGTERM", "SIGKILL"] as const) {
            if (!isOurs(pid, this.files.configFile)) return;
            signalIfThere(pid, signal);
            await until(() => !isOurs(pid, this.files.configFile) || undefined, {
                seconds: stopSeconds / 2,
                everyMilliseconds: pollMilliseconds,
            });
        }
    }

    private pid(): number | undefined {
        try {
            const pid = Number(readFileSync(this.files.pidFile, "utf8").trim());
            return isOurs(pid, this.files.configFile) ? pid : undefined;
        } catch {
            return undefined; // It was never started, or has removed its file when it ended.
        }
    }

    private async reach(timeoutSeconds: number, condition: () => Promise<boolean>, otherwise: string): Promise<void> {
        await until(
            async () => (await condition()) || undefined,
            { seconds: timeoutSeconds, everyMilliseconds: pollMilliseconds },
            () =>
                new MigrationError("SM-E1190", {
                    where: this.files.logFile,
                    found: `${otherwise} within ${timeoutSeconds} s\n${lastLines(this.files.logFile)}`,
                    changed: "only the rehearsal's own directory",
                }),
        );
    }
}

/** An environment below root's home cannot be used by anybody but root. */
async function refuseUnlessRunnable(python: string): Promise<void> {
    const user = serviceUser();
    if (user === undefined) return;
    try {
        const options = { workingDirectory: "/", timeoutSeconds: startSeconds, user };
        await runProgram(python, ["-c", "import synapse"], options);
    } catch (error) {
        throw new MigrationError("SM-E1190", {
            where: python,
            found: `the user ${user.uid}, which Synapse is run as, cannot use it: ${String(error)}`,
            expected: "an interpreter and an environment outside of root's home, readable by everybody",
            fix: "set XDG_CACHE_HOME to such a directory and PATH so that /usr/bin/python3 comes first; run it again",
        });
    }
}

/** Whether the process is the one that was started with this configuration: process ids are used again. */
function isOurs(pid: number, configFile: string): boolean {
    try {
        return readFileSync(`/proc/${pid}/cmdline`, "utf8").includes(configFile);
    } catch {
        return false;
    }
}

function lastLines(file: string): string {
    try {
        return readFileSync(file, "utf8").trimEnd().split("\n").slice(-12).join("\n");
    } catch {
        return "it wrote no log";
    }
}
