import { expect } from "chai";
import { containerOfUnit } from "../../../../engine/services/containers/unitCommands.ts";

const of = (start: string, ...prepares: string[]) =>
    containerOfUnit({ words: start.split(" "), prepares: prepares.flatMap((command) => command.split(" ")) });

describe("the container that a unit of systemd runs", () => {
    it("is what `docker run` of its command names, with its mounts and networks", () => {
        const found = of(
            "/usr/bin/docker run --rm --name matrix-synapse --net=matrix -v /matrix/config:/data:ro --mount type=bind,src=/matrix/media,dst=/media -v keys:/keys --workdir=/data image",
            "/usr/bin/docker rm matrix-synapse",
        );
        expect(found).to.include({ engine: "docker", name: "matrix-synapse" });
        expect(found?.facts.mounts).to.have.deep.members([
            { source: "/matrix/config", destination: "/data" },
            { source: "/matrix/media", destination: "/media" },
            { source: "keys", destination: "/keys" },
        ]);
        expect(found?.facts).to.include({ networkMode: "matrix", workingDirectory: "/data" });
    });

    it("is what `docker start` names, made and connected by the commands before it", () => {
        const found = of(
            "/usr/bin/env docker start --attach matrix-synapse",
            "docker create --rm --name=matrix-synapse --network=matrix-synapse --mount type=bind,source=/matrix/config,target=/data image",
            "docker network connect matrix-postgres matrix-synapse",
            "docker network connect --alias hs matrix-redis matrix-synapse",
        );
        expect(found?.name).to.equal("matrix-synapse");
        expect(found?.facts.networks.map(({ name }) => name)).to.deep.equal([
            "matrix-synapse",
            "matrix-postgres",
            "matrix-redis",
        ]);
        expect(found?.facts.mounts).to.deep.equal([{ source: "/matrix/config", destination: "/data" }]);
    });

    it("is none where it runs a program of the machine, or all of Compose", () => {
        expect(of("/opt/venvs/matrix-synapse/bin/python -m synapse.app.homeserver")).to.equal(undefined);
        expect(of("/usr/bin/docker compose up")).to.equal(undefined);
        expect(of("/usr/bin/docker run --rm image")).to.equal(undefined);
    });
});
