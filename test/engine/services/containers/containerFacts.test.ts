import { expect } from "chai";
import { composeServiceOf, describeContainer } from "../../../../engine/services/containers/containerFacts.ts";
import { configFilesOnMachine, containerPaths } from "../../../../engine/services/containers/containerPaths.ts";
import { hostPath, pathInside } from "../../../../engine/machines/pathMap.ts";
import { composed, inspected, processIn, synapseArgv } from "./inspected.ts";

describe("what `docker inspect` says of a container", () => {
    it("is its restart policy as `docker update` takes it, and no limit of tasks however that came about", () => {
        const of = (hostConfig: Record<string, unknown>) => inspected({ name: "synapse", hostConfig });
        const retries = { RestartPolicy: { Name: "on-failure", MaximumRetryCount: 3 }, PidsLimit: 100 };
        expect(of(retries)).to.include({ restart: "on-failure:3", pidsLimit: 100 });
        expect(of({ RestartPolicy: { Name: "always", MaximumRetryCount: 0 }, PidsLimit: 0 })).to.include({
            restart: "always",
            pidsLimit: 0,
        });
        expect(of({ RestartPolicy: { Name: "" }, PidsLimit: -1 })).to.include({ restart: "no", pidsLimit: 0 });
        expect(of({ PidsLimit: null })).to.include({ restart: "no", pidsLimit: 0 });
    });

    it("has no health where Podman has an empty one", () => {
        expect(inspected({ name: "synapse", health: "" }).health).to.equal(undefined);
        expect(inspected({ name: "synapse", health: "healthy" }).health).to.equal("healthy");
    });

    it("is nothing of its environment, which has secrets", () => {
        expect(JSON.stringify(inspected({ name: "db" }))).to.not.contain("secret");
    });

    it("is which ports of the machine lead into it", () => {
        const bindings = {
            "8008/tcp": [{ HostIp: "", HostPort: "8008" }],
            "8448/tcp": [{ HostPort: "443" }, { HostPort: "443" }],
            "9000/tcp": null,
        };
        const { publishedPorts } = inspected({ name: "synapse", hostConfig: { PortBindings: bindings } });
        expect(publishedPorts).to.deep.equal([8008, 443]);
    });

    it("is the service of Compose that it is of, and of none where `docker compose run` has made it", () => {
        const labels = composed("matrix", "synapse");
        expect(composeServiceOf(inspected({ name: "a", labels }))).to.deep.equal({
            project: "matrix",
            service: "synapse",
        });
        const once = { ...labels, "com.docker.compose.oneoff": "True" };
        expect(composeServiceOf(inspected({ name: "a", labels: once }))).to.equal(undefined);
        const place = { ...labels, "com.docker.compose.project.working_dir": "/srv/matrix" };
        const policy = { RestartPolicy: { Name: "unless-stopped" } };
        expect(
            describeContainer(inspected({ name: "a", labels: place, health: "healthy", hostConfig: policy })),
        ).to.match(
            /^container a \([0-9a-f]{12}, service synapse of matrix in \/srv\/matrix\): running, healthy, restart policy unless-stopped$/,
        );
    });
});

describe("the paths of a container", () => {
    const synapse = inspected({
        name: "synapse",
        mounts: {
            "/data": "/srv/matrix/data",
            "/data/media": "/var/lib/docker/volumes/media/_data",
            "/data/log.yaml": "/etc/log.yaml",
            "/tmp": "",
        },
    });
    const paths = containerPaths(synapse);

    it("are those of the mount that fits longest, files as well as directories", () => {
        expect(hostPath("/data/homeserver.yaml", paths)).to.equal("/srv/matrix/data/homeserver.yaml");
        expect(hostPath("/data/media/local_content", paths)).to.equal(
            "/var/lib/docker/volumes/media/_data/local_content",
        );
        expect(hostPath("/data/log.yaml", paths)).to.equal("/etc/log.yaml");
    });

    it("lead to no file of the machine where they are in no mount, or in memory", () => {
        for (const path of ["/homeserver.pid", "/database", "/tmp/x"])
            expect(pathInside(hostPath(path, paths)), path).to.deep.equal({ container: "synapse", path });
        expect(pathInside("/srv/matrix/data")).to.equal(undefined);
    });

    it("are overridden by what the stack says", () => {
        expect(hostPath("/secrets/key", { ...paths, "/secrets": "/srv/secrets" })).to.equal("/srv/secrets/key");
    });

    it("are those of the files that a process was started with", () => {
        const process = processIn(
            "synapse",
            synapseArgv("generic_worker", "/data/homeserver.yaml", "/data/workers/a.yaml"),
        );
        expect(configFilesOnMachine(process, synapse)).to.deep.equal([
            "/srv/matrix/data/homeserver.yaml",
            "/srv/matrix/data/workers/a.yaml",
        ]);
        expect(configFilesOnMachine(process, undefined)).to.include("/data/homeserver.yaml");
    });
});
