import { expect } from "chai";
import { discovery, type Discovery } from "../../../engine/discover/discovery.ts";
import { sourceAmong } from "../../../steps/commands/stackSource.ts";
import { homeserverConfigOf, type HomeserverConfig } from "../../../engine/synapse/config/homeserverConfig.ts";
import { expectError } from "../../support/expectError.ts";

const homeserver = {
    ...{ serverName: "example.org", running: true, version: {}, paths: {}, listeners: [], workers: [] },
    ...{ configFiles: ["/etc/x.yaml"], applicationServices: [], notUnderstood: [] as string[] },
};

function config(more: Readonly<Record<string, unknown>> = {}): HomeserverConfig {
    const sections = {
        server_name: "example.org",
        database: { name: "sqlite3", args: { database: "/x.db" } },
        ...more,
    };
    return homeserverConfigOf({ files: ["/etc/x.yaml"], sections, texts: {}, origins: {}, findings: [] });
}

function found(service: object, more: object = {}): Discovery {
    return discovery.parse({
        ...{
            version: 1,
            machine: "root@old",
            asRoot: false,
            seconds: 1,
            homeservers: [{ ...homeserver, service, ...more }],
        },
        ...{
            reverseProxies: [],
            mediaRepositories: [],
            authenticationServices: [],
            notSeen: ["files"],
            notUnderstood: [],
        },
    });
}
const named = { description: { kind: "local" as const } };
const systemd = { kind: "systemd", units: ["matrix-synapse.service"] };

describe("a stack's source among what was found", () => {
    it("is a unit, or a process with its pid file", () => {
        expect(sourceAmong({ discovery: found(systemd), configs: [config()] }, { named }).service).to.deep.equal(
            systemd,
        );
        const withPid = {
            discovery: found({ kind: "process", pid: 5 }),
            configs: [config({ pid_file: "/run/x.pid" })],
        };
        expect(sourceAmong(withPid, { named }).service).to.deep.equal({ kind: "process", pidFile: "/run/x.pid" });
    });

    it("is a service of Compose, a container, or the unit that runs one", () => {
        const container = { id: "a".repeat(64), running: true, name: "matrix-synapse-1", engine: "docker" };
        const compose = { project: "matrix", service: "synapse", configFiles: [] };
        const serviceOf = (facts: object): unknown =>
            sourceAmong(
                { discovery: found({ kind: "container", container: { ...container, ...facts } }), configs: [config()] },
                { named },
            ).service;
        expect(serviceOf({ compose })).to.deep.equal({ kind: "compose", project: "matrix", services: ["synapse"] });
        expect(serviceOf({})).to.deep.equal({ kind: "container", name: "matrix-synapse-1" });
        expect(serviceOf({ engine: "podman" })).to.deep.equal({
            ...{ kind: "container", name: "matrix-synapse-1", engine: "podman" },
        });
        // Whatever else the container is: the unit would start it again.
        expect(serviceOf({ compose, unit: "matrix-synapse.service" })).to.deep.equal(systemd);
    });

    it("is none that cannot be stopped for good (SM-E1454), or that is read by nobody (SM-E1455)", async () => {
        const container = { kind: "container", container: { id: "a".repeat(64), running: true } };
        for (const service of [container, { kind: "systemdUser", units: ["x.service"] }, { kind: "unknown" }])
            await expectError("SM-E1454", () =>
                Promise.resolve(sourceAmong({ discovery: found(service), configs: [config()] }, { named })),
            );
        const unread = found(systemd, { notUnderstood: ["EACCES"] });
        const { detail } = await expectError("SM-E1455", () =>
            Promise.resolve(sourceAmong({ discovery: unread, configs: [undefined] }, { named })),
        );
        expect(detail.found).to.equal("EACCES\nfiles");
    });
});
