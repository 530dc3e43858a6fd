import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import type { ContainedService } from "../../../../contract/index.ts";
import { thisMachine } from "../../../../engine/machines/local/localMachine.ts";
import { containerService } from "../../../../engine/services/containers/containerService.ts";
import { sourceView } from "../../../../engine/services/containers/sourceView.ts";
import { filesOfIdentity, refuseMissingFiles } from "../../../../engine/synapse/config/missingFiles.ts";
import { readHomeserverConfig } from "../../../../engine/synapse/config/homeserverConfig.ts";
import { expectError } from "../../../support/expectError.ts";
import { fakeEngine, type FakeContainer, type FakeOptions } from "./fakeEngine.ts";
import { composed } from "./inspected.ts";

const service: ContainedService = { kind: "compose", project: "matrix", services: ["synapse", "worker"] };

const containers = (): FakeContainer[] => [
    { name: "db", status: "running", restart: "always", pidsLimit: null, labels: composed("matrix", "db") },
    { name: "worker", status: "running", restart: "on-failure", pidsLimit: 50, labels: composed("matrix", "worker") },
    {
        name: "synapse",
        status: "running",
        restart: "unless-stopped",
        pidsLimit: null,
        labels: composed("matrix", "synapse"),
    },
];

describe("a homeserver's containers", () => {
    const of = (all: FakeContainer[], options: FakeOptions = {}) => {
        const { machine, done } = fakeEngine(all, options);
        const times = { stopSeconds: 7, watchSeconds: 0, startSeconds: 1 };
        return {
            control: containerService(service, machine, { configFiles: ["/data/homeserver.yaml"], ...times }),
            done,
        };
    };

    it("are kept from coming back before they are stopped, workers first, and held once they are", async () => {
        const all = containers();
        const { control, done } = of(all);
        const stopped = await control.stop();
        expect(done).to.deep.equal([
            "update --restart=no synapse worker",
            "stop worker",
            "stop synapse",
            "update --restart=no --pids-limit=1 synapse worker",
        ]);
        expect((await control.staysDown(stopped)).evidence).to.contain("synapse, worker");
        expect(all.find(({ name }) => name === "db")).to.include({ status: "running", restart: "always" });
    });

    it("get back what each had, and are started as they ran, the main process first", async () => {
        const all = containers();
        const { control, done } = of(all);
        const stopped = await control.stop();
        done.length = 0;
        await control.start(stopped);
        expect(done).to.deep.equal([
            "update --restart=unless-stopped --pids-limit=-1 synapse",
            "start synapse",
            "update --restart=on-failure --pids-limit=50 worker",
            "start worker",
        ]);
    });

    it("are let go and not started where they did not run", async () => {
        const all = containers();
        const [, worker] = all;
        if (worker !== undefined) worker.status = "exited";
        const { control, done } = of(all);
        const stopped = await control.stop();
        done.length = 0;
        await control.start(stopped);
        expect(done.filter((line) => line.endsWith("worker"))).to.deep.equal([
            "update --restart=on-failure --pids-limit=50 worker",
        ]);
    });

    it("are told by name when one runs again without its hold (SM-E0702), and not for one that ends by its hold", async () => {
        const all = containers();
        const { control } = of(all);
        const stopped = await control.stop();
        const [, , main] = all;
        if (main === undefined) throw new Error("no main container");
        main.status = "running";
        await control.staysDown(stopped);
        main.pidsLimit = null;
        const error = await expectError("SM-E0702", () => control.staysDown(stopped));
        expect(error.detail.found).to.contain("container synapse").and.to.contain("running");
    });

    it("are named when one is gone, or does not come up (SM-E0712), after all others were started", async () => {
        const all = containers();
        const { control, done } = of(all);
        const stopped = await control.stop();
        all.splice(1, 1, {
            name: "w2",
            status: "exited",
            restart: "no",
            pidsLimit: 0,
            fails: true,
            labels: composed("matrix", "worker"),
        });
        done.length = 0;
        const error = await expectError("SM-E0712", () => control.start(stopped));
        // It was made in the place of one that ran.
        expect(error.detail.found).to.contain("container w2").and.not.to.contain("gone");
        expect(done).to.include("start synapse").and.to.include("start w2");
        all.splice(1, 1);
        const gone = await expectError("SM-E0712", () => control.start(stopped));
        expect(gone.detail.found).to.contain("worker is gone").and.not.to.contain("synapse is gone");
    });

    it("are not stopped where they cannot be held (SM-E1474)", async () => {
        const refused = of(containers(), { refuses: "docker update" });
        const error = await expectError("SM-E1474", () => refused.control.stop());
        expect(error.detail.changed).to.contain("nothing was stopped");
        expect(refused.done).to.deep.equal([]);
        await expectError("SM-E1474", () => of(containers(), { forgetsLimits: true }).control.stop());
    });

    it("are not stopped where nothing could start them again: of a swarm, or made with --rm (SM-E1479)", async () => {
        for (const odd of [
            { autoRemove: true },
            { labels: { ...composed("matrix", "synapse"), "com.docker.swarm.service.name": "s" } },
        ]) {
            const all = containers().map((one) => (one.name === "synapse" ? { ...one, ...odd } : one));
            const { control, done } = of(all);
            await expectError("SM-E1479", () => control.stop());
            expect(done).to.deep.equal([]);
        }
    });

    it("are not asked for where the engine does not answer (SM-E1471), and not stopped by who is not root (SM-E1478)", async () => {
        const error = await expectError("SM-E1471", () => of(containers(), { refuses: "docker ps" }).control.status());
        expect(error.detail.found).to.contain("permission denied");
        await expectError("SM-E1478", () => of(containers(), { userId: 1000 }).control.stop());
    });
});

describe("the configuration of a homeserver in a container", () => {
    let directory: string;
    beforeEach(async () => {
        directory = await mkdtemp(join(tmpdir(), "synapse-contained-"));
    });
    afterEach(() => rm(directory, { recursive: true, force: true }));

    const view = (mounts: Record<string, string>) => {
        const [, , synapse] = containers();
        const all = synapse === undefined ? [] : [{ ...synapse, mounts, networks: { matrix: "172.18.0.2" } }];
        return sourceView(
            { service: { kind: "compose", project: "matrix", services: ["synapse"] } },
            fakeEngine(all).machine,
        );
    };
    const written = async (more: string): Promise<void> => {
        const text = `server_name: cases.test\nreport_stats: false\nmedia_store_path: media\ndatabase: {name: psycopg2, args: {user: synapse, database: synapse, host: db}}\n${more}`;
        await writeFile(join(directory, "homeserver.yaml"), text);
    };
    const read = async (mounts: Record<string, string>, paths?: Record<string, string>) =>
        readHomeserverConfig(["/data/homeserver.yaml"], { machine: thisMachine, view: await view(mounts), paths });

    it("is read where its mount has it, a signing key that nothing names beside it, relative paths in the container's own directory", async () => {
        await written("");
        const config = await read({ "/data": directory });
        expect(config.files).to.deep.equal([join(directory, "homeserver.yaml")]);
        expect(config.signingKey).to.deep.equal({ path: join(directory, "cases.test.signing.key") });
        expect(config.mediaStorePath).to.contain("synapse/media");
    });

    it("is refused where it names files that are in no mount, all at once, unless the stack says where they are (SM-E1473)", async () => {
        await written("signing_key_path: /keys/signing.key\nform_secret_path: /run/form\n");
        const config = await read({ "/data": directory });
        const error = await expectError("SM-E1473", () => refuseMissingFiles(config, filesOfIdentity(config)));
        expect(error.detail.found.split("\n")).to.deep.equal([
            "container synapse has in none of its mounts:",
            "media_store_path: /media",
            "signing_key_path: /keys/signing.key",
            "form_secret_path: /run/form",
        ]);
        const told = await read({ "/data": directory }, { "/keys": "/srv/keys" });
        expect(told.signingKey).to.deep.equal({ path: "/srv/keys/signing.key" });
    });

    it("is refused where it is itself in no mount (SM-E1473)", async () => {
        const error = await expectError("SM-E1473", () => read({ "/media": directory }));
        expect(error.detail.found).to.contain("/data/homeserver.yaml");
    });

    it("names a socket that has to be in a mount, too (SM-E1473)", async () => {
        const seen = await view({ "/run/postgresql": "/var/run/postgresql" });
        const socket = (directory: string) => seen?.place({ socket: `${directory}/.s.PGSQL.5432` });
        expect(await socket("/run/postgresql")).to.deep.equal({ socket: "/var/run/postgresql/.s.PGSQL.5432" });
        await expectError("SM-E1473", async () => socket("/tmp"));
    });
});
