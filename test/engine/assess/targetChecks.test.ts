import { createServer } from "node:net";
import { once } from "node:events";
import { mkdtemp, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect } from "chai";
import type { z } from "zod";
import { targetChecks } from "../../../engine/assess/targetChecks.ts";
import type { assessContract, Finding } from "../../../contract/index.ts";
import { freePort } from "../../../engine/machines/freePort.ts";
import { startCluster, testCluster, type TestCluster } from "../../support/cluster.ts";
import { findingsOf, runCheck } from "./runCheck.ts";

type TargetServer = NonNullable<z.infer<typeof assessContract.spec>["targetServer"]>;

describe("the target's PostgreSQL", function () {
    this.timeout(120_000);
    let cluster: TestCluster;
    let name = "";

    const existing = (
        changes: { port?: number; admin?: string; adminPasswordFile?: string; host?: string } = {},
    ): TargetServer => ({
        ...{ kind: "existing" as const, host: "127.0.0.1", port: cluster.port, admin: "migrator" },
        ...{ adminPasswordFile: cluster.passwordFile, programs: cluster.programs, directory: "/no/such" },
        ...changes,
    });
    const managed = (programs = cluster.programs): TargetServer => ({
        ...{ kind: "managed" as const, directory: "/no/such", port: 0, programs },
    });
    const server = (targetServer: TargetServer, role = "synapse"): Promise<Finding[]> =>
        findingsOf(targetChecks, "target-database-server", cluster.address(name, role), { targetServer });
    const programs = (targetServer: TargetServer): Promise<Finding[]> =>
        findingsOf(targetChecks, "target-database-programs", cluster.address(name), { targetServer });
    /** A directory of programs that say what they are told. */
    const programsOf = async (versions: Readonly<Record<string, string>>): Promise<string> => {
        const directory = await mkdtemp(join(cluster.directory, "programs-"));
        for (const [program, version] of Object.entries(versions))
            await writeFile(join(directory, program), `#!/bin/sh\necho '${program} (PostgreSQL) ${version}'\n`, {
                mode: 0o755,
            });
        return directory;
    };
    before(async () => {
        cluster = await testCluster();
        name = await cluster.createDatabase("empty");
    });

    it("is fine where server and programs are of the source's major version or newer", async () => {
        const newer = await programsOf({ postgres: "18.1", pg_dump: "18.1", pg_restore: "18.1" });
        for (const target of [existing(), managed(), managed(newer)]) {
            expect(await server(target)).to.deep.equal([]);
            expect(await programs(target)).to.deep.equal([]);
        }
    });

    it("is listed as not run where nothing is known of it", async () => {
        for (const { id } of targetChecks)
            expect(await runCheck(targetChecks, id, cluster.address(name))).to.equal("not-run");
    });

    it("is refused where the source is newer than it (B20)", async () => {
        const newer = await startCluster({ postgres: "newer" });
        try {
            const source = newer.address(await newer.createDatabase("empty"));
            for (const [targetServer, where] of [
                [existing(), `the server at 127.0.0.1:${cluster.port}`],
                [managed(), "a server of its own"],
            ] as const) {
                const [blocking, ...more] = await findingsOf(targetChecks, "target-database-server", source, {
                    targetServer,
                });
                expect(more).to.deep.equal([]);
                expect(blocking).to.deep.include({ id: "SM-E0503", severity: "error" });
                expect(blocking?.evidence).to.contain(`${where} is PostgreSQL 1`).and.to.contain("the source's is 1");
            }
        } finally {
            await newer.stop();
        }
    });

    it("is refused where the programs of a server of its own are older (B20)", async () => {
        const [blocking] = await server(managed(await programsOf({ postgres: "14.9" })));
        expect(blocking).to.deep.include({ id: "SM-E0503", severity: "error" });
        expect(blocking?.evidence).to.contain("a server of its own is PostgreSQL 14.9");
    });

    it("is refused with each program that is older than the source's server", async () => {
        const old = await programsOf({ pg_dump: "14.9", pg_restore: "13.22" });
        const found = await programs({ ...existing(), programs: old });
        expect(found.map(({ id }) => id)).to.deep.equal(["SM-E0504", "SM-E0504"]);
        expect(found[0]?.evidence).to.contain(join(old, "pg_dump")).and.to.contain("14.9");
        expect(found[1]?.evidence).to.contain(join(old, "pg_restore")).and.to.contain("13.22");
    });

    it("is not looked for where a bundle is written: pg_dump is, and pg_restore only for a dump in directory format", async () => {
        const only = await programsOf({ pg_dump: "15.18" });
        const missing = (databaseFormat?: "directory") =>
            findingsOf(targetChecks, "target-database-programs", cluster.address(name), {
                bundle: { programs: only, databaseFormat },
            });
        expect(await missing()).to.deep.equal([]);
        expect((await missing("directory")).map(({ id }) => id)).to.deep.equal(["SM-E0523"]);
    });

    it("is refused where a program is missing or does not say its version", async () => {
        const broken = await programsOf({ pg_dump: "15.18" });
        await writeFile(join(broken, "pg_restore"), "#!/bin/sh\necho something else\n", { mode: 0o755 });
        expect((await server(managed(broken))).map(({ id }) => id)).to.deep.equal(["SM-E0523"]);
        const [blocking, ...more] = await programs(managed(broken));
        expect(more).to.deep.equal([]);
        expect(blocking).to.deep.include({ id: "SM-E0523", severity: "error" });
        expect(blocking?.evidence).to.contain(join(broken, "pg_restore"));
    });

    const unreachable: Readonly<Record<string, () => Promise<[TargetServer, RegExp]>>> = {
        "nobody listens": async () => [existing({ port: await freePort() }), /SM-E1102/],
        "its socket is not there": () => Promise.resolve([existing({ host: "/no/such/directory" }), /SM-E1102/]),
        "there is no such role": () => Promise.resolve([existing({ admin: "nobody" }), /SM-E1004/]),
        "the password file is missing": () =>
            Promise.resolve([existing({ adminPasswordFile: "/no/such/file" }), /SM-E1003/]),
    };
    for (const [why, made] of Object.entries(unreachable)) {
        it(`is a finding of its own where ${why}`, async () => {
            const [target, reason] = await made();
            const [blocking, ...more] = await server(target);
            expect(more).to.deep.equal([]);
            expect(blocking).to.deep.include({ id: "SM-E0522", severity: "error" });
            expect(blocking?.evidence).to.match(reason);
        });
    }

    it("is a finding where something else listens there, which hangs up", async () => {
        const other = createServer((socket) => socket.destroy());
        other.listen(0, "127.0.0.1");
        await once(other, "listening");
        try {
            const address = other.address();
            const port = typeof address === "object" && address !== null ? address.port : 0;
            expect((await server(existing({ port }))).map(({ id }) => id)).to.deep.equal(["SM-E0522"]);
        } finally {
            other.close();
        }
    });
});
