import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { chmod, chown, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { expect } from "chai";
import { thisMachine } from "../../../../engine/machines/local/localMachine.ts";
import { readProcess } from "../../../../engine/machines/procfs.ts";
import { serviceUser } from "../../../../engine/machines/serviceUser.ts";
import {
    clusterPaths,
    ensureCluster,
    isClusterRunning,
    removeCluster,
    stopCluster,
} from "../../../../engine/postgres/server/managedCluster.ts";
import { until } from "../../../../engine/run/until.ts";
import { testCluster } from "../../../support/cluster.ts";
import { expectError } from "../../../support/expectError.ts";

describe("the lock of a PostgreSQL server that has died", function () {
    this.timeout(120_000);
    let directory: string;
    let cluster: { directory: string; port: number; programs: string };
    let lock: string;
    let written: string;
    let helpers: ChildProcess[];
    before(async () => {
        directory = await mkdtemp(join(tmpdir(), "synapse-migration-lock-"));
        await chmod(directory, 0o755);
        cluster = { directory: join(directory, "postgresql"), port: 0, programs: (await testCluster()).programs };
        await start();
        lock = join(clusterPaths(cluster.directory).data, "postmaster.pid");
        written = await readFile(lock, "utf8");
    });
    beforeEach(() => {
        helpers = [];
        return stopCluster(cluster);
    });
    afterEach(() => {
        for (const helper of helpers) helper.kill("SIGKILL");
    });
    after(async () => {
        await removeCluster(cluster);
        await rm(directory, { recursive: true, force: true });
    });

    const start = () => ensureCluster(cluster, "r1", "moved.example");

    /** A process of the server's user, and a child of it that has ended and for whose end it never asks. */
    async function helper(workingDirectory: string): Promise<{ live: number; dead: number }> {
        const user = serviceUser();
        const child = spawn("/bin/sh", ["-c", 'sleep 299 & echo "$!"; exec sleep 300'], {
            cwd: workingDirectory,
            stdio: ["ignore", "pipe", "ignore"],
            ...(user === undefined ? {} : { uid: user.uid, gid: user.gid }),
        });
        helpers.push(child);
        const [line] = (await once(createInterface(child.stdout), "line")) as [string];
        const dead = Number(line);
        // The shell would ask for its end; what it has become does not.
        const parent = child.pid ?? 0;
        const isAnother = async () => (await readProcess(thisMachine, parent))?.argv[0] === "sleep" || undefined;
        expect(await until(isAnother, { seconds: 20 })).to.equal(true);
        process.kill(dead, "SIGKILL");
        await until(async () => (await readProcess(thisMachine, dead)) === undefined || undefined, { seconds: 10 });
        return { live: parent, dead };
    }

    async function lockedBy(pid: number): Promise<void> {
        const user = serviceUser();
        await writeFile(lock, written.replace(/^\d+/, String(pid)), { mode: 0o600 });
        if (user !== undefined) await chown(lock, user.uid, user.gid);
    }

    it("is removed when its process has ended and nobody asked for its end", async () => {
        await lockedBy((await helper("/")).dead);
        await start();
        expect(await isClusterRunning(cluster.directory)).to.equal(true);
    });

    it("is removed when its number is another program's by now", async () => {
        await lockedBy((await helper("/")).live);
        await start();
        expect(await isClusterRunning(cluster.directory)).to.equal(true);
    });

    it("stays while anything works in the data directory", async () => {
        const { dead } = await helper(clusterPaths(cluster.directory).data);
        await lockedBy(dead);
        const { detail } = await expectError("SM-E0712", start);
        expect(detail.found).to.match(/lock file "postmaster.pid" already exists/);
        expect(await readFile(lock, "utf8")).to.match(new RegExp(`^${dead}\n`));
        await rm(lock);
    });
});
