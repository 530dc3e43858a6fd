import { expect } from "chai";
import { clientsOfContainers, unclearUnits } from "../../../engine/discover/discover.ts";
import { appOf, homeserversAmong, isMain, isSynapse, type Sighting } from "../../../engine/discover/sighting.ts";
import { idleUnits, sightingsAmong } from "../../../engine/discover/sightings.ts";
import { namesIn } from "../../../engine/discover/units.ts";
import { thisMachine } from "../../../engine/machines/local/localMachine.ts";
import type { Machine } from "../../../engine/machines/machine.ts";
import { unit } from "../services/systemd/graph.ts";
import {
    ansibleDeploy,
    debianPackage,
    dockerCompose,
    idOf,
    nixos,
    processes,
    synctl,
    withWorkers,
    yunohost,
    type ListedProcess,
} from "./processLists.ts";

/** Of whose files nothing may be looked at. */
const closed: Machine = {
    ...thisMachine,
    files: {
        ...thisMachine.files,
        stat: () => Promise.reject(Object.assign(new Error("EACCES"), { code: "EACCES" })),
        read: () => Promise.reject(Object.assign(new Error("EACCES"), { code: "EACCES" })),
    },
};
const ground = { container: undefined, root: undefined };
const sighted = (list: Readonly<Record<number, ListedProcess>>): Promise<Sighting[]> =>
    sightingsAmong(closed, processes(list), ground);

describe("sightings of Synapse", () => {
    it("are main process and unit of Debian's package, YunoHost and NixOS", async () => {
        for (const [list, name, file] of [
            [debianPackage, "matrix-synapse.service", "/etc/matrix-synapse/homeserver.yaml"],
            [yunohost, "synapse.service", "/etc/matrix-synapse/homeserver.yaml"],
            [nixos, "matrix-synapse.service", processes(nixos)[0]?.argv[3] ?? ""],
        ] as const) {
            const [{ main } = { main: undefined }, ...more] = homeserversAmong(await sighted(list));
            expect(more).to.deep.equal([]);
            expect([main?.unit, main?.configFiles[0], main?.running]).to.deep.equal([name, file, true]);
        }
    });

    it("have their workers with them", async () => {
        for (const list of [withWorkers, nixos]) {
            const homeservers = homeserversAmong(await sighted(list));
            expect(homeservers.map(({ workers }) => workers.map(({ argv }) => appOf(argv)))).to.deep.equal([
                ["generic_worker"],
            ]);
        }
    });

    it("are what is in a container, and not the client, the shim or the database", async () => {
        const found = await sighted({ ...dockerCompose, ...ansibleDeploy });
        expect(found.map(({ container }) => container).sort()).to.deep.equal([idOf("a"), idOf("c"), idOf("d")]);
        expect(found.map(({ unit: name }) => name)).to.deep.equal([undefined, undefined, undefined]);
    });

    it("are what synctl has started in its directory, and not sudo before it; a session keeps nothing", async () => {
        const [only, ...more] = await sighted(synctl);
        expect(more).to.deep.equal([]);
        expect(only).to.deep.include({
            pid: 600,
            configFiles: ["/home/matrix/synapse/homeserver.yaml"],
            unit: undefined,
        });
    });

    it("are told by the name of their program, whatever else is in the words", () => {
        expect(isSynapse(["/bin/sh", "-c", "python -m synapse.app.homeserver"])).to.equal(false);
        expect(isSynapse(["vim", "/srv/synapse/app/homeserver.py"])).to.equal(false);
        expect(isSynapse(["python3", "/srv/synapse/app/homeserver.py", "-c", "x"])).to.equal(true);
        expect(isMain({ argv: ["synapse_homeserver", "-c", "x"] })).to.equal(true);
        expect(isMain({ argv: ["python", "-m", "synapse.app.federation_sender"] })).to.equal(false);
    });
});

describe("homeservers among sightings", () => {
    const main = (keys: readonly string[], more: Partial<Sighting> = {}): Sighting => ({
        ...{ argv: ["python", "-m", "synapse.app.homeserver"], running: true },
        ...{ configFiles: keys, configKeys: keys },
        ...more,
    });
    const worker = (keys: readonly string[], more: Partial<Sighting> = {}): Sighting =>
        main(keys, { argv: ["python", "-m", "synapse.app.generic_worker"], ...more });

    it("are two where each has a file of its own, and workers go with that", () => {
        const found = homeserversAmong([
            main(["common", "a"]),
            main(["common", "b"]),
            worker(["common", "b", "w"]),
            worker(["common", "a", "v"]),
        ]);
        expect(found.map(({ workers }) => workers.map(({ configKeys }) => configKeys.at(-1)))).to.deep.equal([
            ["v"],
            ["w"],
        ]);
    });

    it("are one where a unit that does not run and a process have the same file", () => {
        const [only, ...more] = homeserversAmong([
            main(["a", "b"], { running: false, unit: "x.service" }),
            main(["a"], { pid: 5 }),
        ]);
        expect(more).to.deep.equal([]);
        expect([only?.main?.pid, only?.otherMains[0]?.unit]).to.deep.equal([5, "x.service"]);
    });

    it("are there by their workers alone", () => {
        const [only, ...more] = homeserversAmong([worker(["a", "1"]), worker(["a", "2"])]);
        expect(more).to.deep.equal([]);
        expect([only?.main, only?.workers.length]).to.deep.equal([undefined, 2]);
    });

    it("have the workers of their own container, whose files are others", () => {
        const [only, ...more] = homeserversAmong([main(["a"], { container: "x" }), worker(["b"], { container: "x" })]);
        expect([only?.workers.length, more.length]).to.deep.equal([1, 0]);
    });
});

describe("units", () => {
    const words = "/venv/bin/python -m synapse.app.homeserver -c /etc/x.yaml".split(" ");

    it("that do not run and would start Synapse are sightings, and others are not", async () => {
        const found = await idleUnits(closed, [
            unit("synapse.service", { activeState: "failed", words }),
            unit("runs.service", { activeState: "active", words }),
            unit("nginx.service", { activeState: "inactive", words: ["/usr/sbin/nginx"] }),
        ]);
        expect(found.map(({ unit: name, running, configFiles }) => [name, running, configFiles])).to.deep.equal([
            ["synapse.service", false, ["/etc/x.yaml"]],
        ]);
    });

    it("are read out of the list of their files, without templates and aliases", () => {
        const list = "a.service   enabled enabled\nb@.service  disabled enabled\nc.service alias -\nd.service masked\n";
        expect(namesIn(list)).to.deep.equal(["a.service", "d.service"]);
    });

    it("that run the client of a container keep it, as those of matrix-docker-ansible-deploy do", () => {
        expect([...clientsOfContainers(processes(ansibleDeploy))]).to.deep.equal([
            ["matrix-synapse", "matrix-synapse.service"],
            ["matrix-synapse-worker-generic-0", "matrix-synapse-worker-generic-0.service"],
        ]);
    });

    it("in which Podman's keeper waits keep its container, and a session that has begun one does not", () => {
        const [one] = processes(ansibleDeploy);
        if (one === undefined) throw new Error("there is no process to begin with");
        const kept = (name: string, unit: string) => ({
            ...one,
            argv: ["/usr/bin/conmon", "--api-version", "1", "-n", name, "--full-attach"],
            keeping: { unit },
        });
        const all = [kept("synapse", "container-synapse.service"), kept("by-hand", "session-3.scope")];
        expect([...clientsOfContainers(all)]).to.deep.equal([["synapse", "container-synapse.service"]]);
    });

    it("that are about Synapse and belong to no homeserver are not understood", () => {
        const units = [
            unit("synapse-backup.service", { activeState: "inactive", words: ["/usr/local/bin/backup"] }),
            unit("synapse.service", { words }),
            unit("gone-synapse.service", { loadState: "not-found" }),
        ];
        expect(unclearUnits(units, new Set(["synapse.service"]))).to.deep.equal([
            "synapse-backup.service (inactive): /usr/local/bin/backup",
        ]);
    });
});
