import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { addressInNetworks, containersIn, onMachine, synapseIn } from "../../../engine/discover/containers.ts";

const text = readFileSync(join(import.meta.dirname, "inspected.json"), "utf8");

describe("containers as `docker inspect` tells of them", () => {
    const all = containersIn(text, "docker");
    const named = (name: string) => {
        const found = all.find(({ facts }) => facts.name === name);
        if (found === undefined) throw new Error(`no container ${name}`);
        return found;
    };

    it("have name, image, restart policy and compose project", () => {
        expect(named("matrix-synapse-1").facts).to.deep.equal({
            id: "a".repeat(64),
            name: "matrix-synapse-1",
            image: "matrixdotorg/synapse:v1.120.0",
            engine: "docker",
            running: true,
            restartPolicy: "unless-stopped",
            compose: {
                project: "matrix",
                service: "synapse",
                workingDirectory: "/srv/matrix",
                configFiles: ["/srv/matrix/docker-compose.yml"],
            },
        });
    });

    it("keep no variable that may be a secret", () => {
        expect(JSON.stringify(all)).not.to.match(/hunter/);
        expect(named("matrix-synapse-1").environment).to.deep.equal({ SYNAPSE_CONFIG_PATH: "/data/homeserver.yaml" });
    });

    it("start Synapse by its image's script or by its module; one that has made a configuration does not, nor does a database", () => {
        expect(all.map((one) => synapseIn(one)?.configFiles)).to.deep.equal([
            ["/data/homeserver.yaml"],
            undefined,
            ["/data/homeserver.yaml"],
            undefined,
        ]);
    });

    it("have their volumes on the machine, and nothing else", () => {
        const synapse = named("matrix-synapse");
        expect(onMachine(synapse, "/data/homeserver.yaml")).to.equal("/matrix/synapse/config/homeserver.yaml");
        expect(onMachine(synapse, "/matrix-media-store-parent/media-store")).to.equal(
            "/matrix/synapse/storage/media-store",
        );
        expect(onMachine(synapse, "/database/x")).to.equal(undefined);
    });

    it("reach each other by names of a network that they have in common", () => {
        expect(addressInNetworks("db", named("matrix-synapse-1"), all)).to.equal("172.18.0.2");
        expect(addressInNetworks("db", named("matrix-synapse"), all)).to.equal(undefined);
        expect(addressInNetworks("elsewhere", named("matrix-synapse-1"), all)).to.equal(undefined);
    });
});
