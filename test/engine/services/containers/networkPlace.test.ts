import { expect } from "chai";
import type { Machine } from "../../../../engine/machines/machine.ts";
import { viewOf } from "../../../../engine/services/containers/containerView.ts";
import { placeOnMachine } from "../../../../engine/services/containers/networkPlace.ts";
import { expectError } from "../../../support/expectError.ts";
import { idOf, inspected } from "./inspected.ts";

const networks = { matrix_default: { address: "172.18.0.3" } };
const synapse = inspected({ name: "synapse", networks });
const database = inspected({
    name: "matrix-db-1",
    networks: { other: { address: "172.19.0.2" }, matrix_default: { address: "172.18.0.2", aliases: ["db"] } },
});
const foreign = inspected({ name: "foreign", networks: { other: { address: "172.19.0.9", aliases: ["db"] } } });
const around = { machine: "root@old", all: [synapse, foreign, database], gateway: "172.17.0.1" };

describe("what a container calls a server by", () => {
    it("is the alias, the name or the beginning of the id of a container on one of its own networks", () => {
        for (const name of ["db", "matrix-db-1", idOf("matrix-db-1").slice(0, 12)])
            expect(placeOnMachine(name, synapse, around), name).to.equal("172.18.0.2");
    });

    it("is its machine, where its hosts file says so or everybody knows it", () => {
        const told = inspected({
            name: "told",
            networks,
            hostConfig: { ExtraHosts: ["pg:host-gateway", "far:10.0.0.5"] },
        });
        expect(placeOnMachine("pg", told, around)).to.equal("172.17.0.1");
        expect(placeOnMachine("far", told, around)).to.equal("10.0.0.5");
        expect(placeOnMachine("host.docker.internal", synapse, around)).to.equal("172.17.0.1");
    });

    it("is the same for both where it is an address, a name of another machine, or the network is the machine's own", () => {
        expect(placeOnMachine("172.17.0.1", synapse, around)).to.equal("172.17.0.1");
        expect(placeOnMachine("db.example.org", synapse, around)).to.equal("db.example.org");
        const host = inspected({ name: "host", hostConfig: { NetworkMode: "host" } });
        expect(placeOnMachine("localhost", host, around)).to.equal("localhost");
        expect(placeOnMachine("db", host, around)).to.equal("db");
    });

    it("is the container itself at its own loopback, or the one whose network it has", () => {
        expect(placeOnMachine("127.0.0.1", synapse, around)).to.equal("172.18.0.3");
        const inside = inspected({ name: "in", hostConfig: { NetworkMode: `container:${idOf("matrix-db-1")}` } });
        expect(placeOnMachine("localhost", inside, around)).to.equal("172.19.0.2");
    });

    it("means the machine's own ports in the machine's network alone, be it another container's", () => {
        const host = inspected({ name: "host", hostConfig: { NetworkMode: "host" } });
        const inside = inspected({ name: "in", hostConfig: { NetworkMode: `container:${idOf("host")}` } });
        const machine = { name: "root@old" } as Machine;
        const own = [synapse, host, inside].map(
            (one) => viewOf(one, { machine, engine: "docker", all: [synapse, host, inside] }).inOwnNetwork,
        );
        expect(own).to.deep.equal([true, false, false]);
    });

    it("is looked for on all networks where the container is gone, and nobody else has the name", async () => {
        expect(placeOnMachine("matrix-db-1", undefined, around)).to.equal("172.19.0.2");
        const error = await expectError("SM-E1475", () => Promise.resolve(placeOnMachine("db", undefined, around)));
        expect(error.detail.found).to.contain("several of that name");
    });

    it("is refused where no container has it, or that does not run (SM-E1475)", async () => {
        const missing = await expectError("SM-E1475", () =>
            Promise.resolve(placeOnMachine("postgres", synapse, around)),
        );
        expect(missing.detail.found).to.contain("no container of that name on matrix_default");
        const stopped = inspected({ name: "pg", status: "exited", networks: { matrix_default: { aliases: ["pg"] } } });
        const error = await expectError("SM-E1475", () =>
            Promise.resolve(placeOnMachine("pg", synapse, { ...around, all: [synapse, stopped] })),
        );
        expect(error.detail.found).to.contain("exited");
    });
});
