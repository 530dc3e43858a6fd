import { expect } from "chai";
import { containersAmong } from "../../../../engine/services/containers/findContainers.ts";
import { merged, namedContainers } from "../../../../engine/services/containers/look.ts";
import type { RecordedContainer, StoppedContainers } from "../../../../engine/services/serviceControl.ts";
import { expectError } from "../../../support/expectError.ts";
import { composed, inspected, processIn, synapseArgv } from "./inspected.ts";

const given = ["/data/homeserver.yaml"];
const mounts = { "/data": "/srv/matrix/data" };
const main = inspected({ name: "synapse", labels: composed("matrix", "synapse"), mounts });
const worker = inspected({
    name: "worker",
    labels: composed("matrix", "worker"),
    mounts: { "/config": "/srv/matrix/data" },
});
const database = inspected({ name: "db", image: "sha256:postgres", labels: composed("matrix", "db") });
/** Another homeserver of the same image, at the same paths in its container. */
const other = inspected({ name: "other", labels: composed("other", "synapse"), mounts: { "/data": "/srv/other" } });
const mainProcess = processIn("synapse", synapseArgv("homeserver", "/data/homeserver.yaml"));
const workerProcess = processIn("worker", synapseArgv("generic_worker", "/config/homeserver.yaml", "/config/w.yaml"));
const otherProcess = processIn("other", synapseArgv("homeserver", "/data/homeserver.yaml"));

describe("the containers of a homeserver", () => {
    const among = (containers: (typeof main)[], processes: (typeof mainProcess)[], named: (typeof main)[] = []) =>
        containersAmong(main, named, given, { containers, processes });

    it("are those whose processes share its files on the machine, however their containers name them", () => {
        const found = among([main, worker, database, other], [workerProcess, otherProcess, mainProcess]);
        expect(found.workers.map(({ name }) => name)).to.deep.equal(["worker"]);
        expect(found.processes).to.deep.equal([mainProcess, workerProcess]);
        expect(found.outside).to.deep.equal([]);
        expect(found.configFiles).to.deep.equal(["/srv/matrix/data/homeserver.yaml"]);
        expect(found.isStrange).to.equal(false);
    });

    it("include one that does not run now and has the same image and configuration, and none of `docker compose run`", () => {
        const idle = inspected({ name: "idle", status: "exited", mounts });
        const once = inspected({
            name: "once",
            status: "exited",
            mounts,
            labels: { ...composed("matrix", "synapse"), "com.docker.compose.oneoff": "True" },
        });
        const elsewhere = inspected({ name: "elsewhere", status: "exited", mounts: { "/data": "/srv/other" } });
        const found = among([main, idle, once, elsewhere], [mainProcess]);
        expect(found.workers.map(({ name }) => name)).to.deep.equal(["idle"]);
    });

    it("leave outside what runs with the same files on the machine itself, or is a second main process", () => {
        const onMachine = processIn(undefined, synapseArgv("generic_worker", "/srv/matrix/data/homeserver.yaml"));
        const second = inspected({ name: "second", mounts });
        const secondProcess = processIn("second", synapseArgv("homeserver", "/data/homeserver.yaml"));
        const found = among([main, second], [mainProcess, onMachine, secondProcess]);
        expect(found.outside).to.have.members([onMachine, secondProcess]);
        expect(found.workers).to.deep.equal([]);
    });

    it("are named by the stack, where nothing tells that they are", () => {
        const found = among([main, worker], [mainProcess], [worker]);
        expect(found.workers).to.deep.equal([worker]);
    });

    it("are not taken for a homeserver's where something else runs in them", () => {
        const { isStrange } = containersAmong(database, [], given, { containers: [database], processes: [] });
        expect(isStrange).to.equal(true);
    });
});

describe("the containers that a stack names", () => {
    const compose = (...services: string[]) => ({ kind: "compose" as const, project: "matrix", services });
    const machine = { name: "root@old" };

    it("are found by their labels, or by their name", () => {
        expect(namedContainers(compose("synapse", "worker"), [other, worker, main], machine)).to.deep.equal([
            main,
            worker,
        ]);
        expect(namedContainers({ kind: "container", name: "other" }, [main, other], machine)).to.deep.equal([other]);
    });

    it("are refused where there is none (SM-E1470), or the main process has several (SM-E1477)", async () => {
        const missing = await expectError("SM-E1470", () =>
            Promise.resolve(namedContainers(compose("synapse", "w2"), [main], machine)),
        );
        expect(missing.detail.found).to.contain("no container of w2").and.to.contain("synapse");
        const second = inspected({ name: "matrix-synapse-2", labels: composed("matrix", "synapse") });
        await expectError("SM-E1477", () =>
            Promise.resolve(namedContainers(compose("synapse"), [main, second], machine)),
        );
    });
});

describe("the record of a homeserver's containers", () => {
    const recorded = (id: string, part: RecordedContainer["part"], restart = "always"): RecordedContainer => ({
        ...{ id, name: id, part, restart, active: true, pidsLimit: 0 },
    });
    const of = (...containers: RecordedContainer[]): StoppedContainers => ({
        ...{ kind: "containers", containers, configFiles: [], ports: [] },
    });

    it("keeps what it had, and adds what has come since, the main process first", () => {
        const before = of(recorded("main", "main"), recorded("worker", "worker"));
        const now = of(recorded("anew", "main", "no"), recorded("worker", "worker", "no"));
        expect(merged(before, now).containers.map(({ id, restart }) => `${id} ${restart}`)).to.deep.equal([
            "main always",
            "anew no",
            "worker always",
        ]);
        expect(merged(undefined, now)).to.equal(now);
    });
});
