import { existsSync } from "node:fs";
import { mkdir, symlink } from "node:fs/promises";
import { join } from "node:path";
import { expect } from "chai";
import { ensurePostgres, findPostgres, postgresPrograms } from "../../toolchain/postgres.ts";
import { thisMachine } from "../../toolchain/machine.ts";
import { codeOf, FakeMachine, keptProgress } from "./fakeMachine.ts";

describe("PostgreSQL", () => {
    let machine: FakeMachine;
    const install = async (directory: string, programs: readonly string[] = postgresPrograms): Promise<string> => {
        for (const program of programs) await machine.program(join(directory, program));
        return join(machine.root, directory);
    };
    beforeEach(async () => {
        machine = await FakeMachine.make();
        machine.answer = (program, args) => {
            if (args[0] === "--bindir") return `${join(machine.root, "configured")}\n`;
            return `postgres (PostgreSQL) ${/\/(\d+)\/bin\//.exec(program)?.[1] ?? "16"}.3 (Debian 1)\n`;
        };
    });
    afterEach(() => machine.remove());

    it("is the newest of Debian's directories", async () => {
        await install("usr/lib/postgresql/15/bin");
        const directory = await install("usr/lib/postgresql/17/bin");
        expect(await findPostgres(machine)).to.deep.equal({ directory, version: "17.3" });
    });

    it("is not a directory that lacks one of the programs", async () => {
        await install("usr/lib/postgresql/17/bin", ["postgres", "psql"]);
        const directory = await install("usr/lib/postgresql/15/bin");
        expect(await findPostgres(machine)).to.deep.equal({ directory, version: "15.3" });
    });

    it("is not a version that Synapse refuses", async () => {
        await install("usr/lib/postgresql/13/bin");
        expect(await findPostgres(machine)).to.equal(undefined);
    });

    it("is found where pg_config points", async () => {
        await machine.program("bin/pg_config");
        expect(await findPostgres(machine)).to.equal(undefined);
        const directory = await install("configured");
        expect(await findPostgres(machine)).to.deep.equal({ directory, version: "16.3" });
    });

    it("is found where `postgres` on PATH is a link to", async () => {
        const directory = await install("opt/pg/bin");
        await mkdir(join(machine.root, "bin"));
        await symlink(join(directory, "postgres"), join(machine.root, "bin/postgres"));
        expect(await findPostgres(machine)).to.deep.equal({ directory, version: "16.3" });
    });

    it("is installed by root on a Debian-like system, without a cluster, and later packages may make theirs", async () => {
        machine.isRoot = true;
        const settings = join(machine.root, "etc/postgresql-common/createcluster.d/synapse-migration.conf");
        const atInstall: boolean[] = [];
        machine.answer = async (program, args) => {
            if (args.includes("install")) {
                atInstall.push(existsSync(settings));
                await install("usr/lib/postgresql/15/bin");
            }
            return program === "apt-get" ? "" : "postgres (PostgreSQL) 15.18";
        };
        expect((await ensurePostgres(machine, keptProgress())).version).to.equal("15.18");
        expect(atInstall).to.deep.equal([true]);
        expect(existsSync(settings)).to.equal(false);
        expect(machine.runs[0]).to.match(/^apt-get .*update$/);
        expect(machine.runs[1]).to.match(/^apt-get .*install --no-install-recommends postgresql-15$/);
        machine.runs.length = 0;
        await ensurePostgres(machine, keptProgress());
        expect(
            machine.runs.filter((run) => run.startsWith("apt-get")),
            "nothing is installed twice",
        ).to.deep.equal([]);
    });

    it("is an error when it is still not there after its package was installed", async () => {
        machine.isRoot = true;
        expect(await codeOf(ensurePostgres(machine, keptProgress()))).to.equal("SM-E1180");
    });

    for (const [who, isDebianLike] of [
        ["somebody who is not root", true],
        ["a system without apt-get", false],
    ] as const) {
        it(`is an error that says how to get it for ${who}`, async () => {
            machine.isDebianLike = isDebianLike;
            expect(await codeOf(ensurePostgres(machine, keptProgress()))).to.equal("SM-E1180");
            expect(machine.runs).to.deep.equal([]);
        });
    }

    it("is found on this machine, with its version", async () => {
        const found = await findPostgres(thisMachine());
        expect(found?.version).to.match(/^\d+\.\d+$/);
    });
});
