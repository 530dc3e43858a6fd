import { expect } from "chai";
import fc from "fast-check";
import type { ProcessFacts } from "../../../../engine/machines/procfs.ts";
import { identifyingFiles, servicesAmong } from "../../../../engine/services/systemd/findServices.ts";
import { unit } from "./graph.ts";

const config = "/etc/synapse/homeserver.yaml";
const argvOf = (app: string, ...files: string[]): string[] => [
    ...["/venv/bin/python", "-m", `synapse.app.${app}`],
    ...files.map((file) => `--config-path=${file}`),
];

let next = 100;
function running(keeping: ProcessFacts["keeping"], argv: readonly string[], parent = 1): ProcessFacts {
    const pid = next++;
    const facts = { startTicks: "1", session: pid, uid: 1, gid: 1, groups: [], umask: 18, workingDirectory: "/" };
    return { ...facts, pid, parent, argv, keeping };
}

const main = unit("synapse.service", { words: argvOf("homeserver", config) });

describe("the services of a homeserver", () => {
    it("are those whose processes share its configuration, whatever they are called", () => {
        const all = [
            running({ unit: "w.service" }, argvOf("generic_worker", config, "/etc/w.yaml")),
            running({ unit: "synapse.service" }, argvOf("homeserver", config)),
            running({ unit: "other.service" }, argvOf("homeserver", "/etc/other.yaml")),
            running({ unit: "nginx.service" }, ["nginx", config]),
        ];
        const found = servicesAmong([main], [], all, []);
        expect(found.main).to.deep.equal(["synapse.service"]);
        expect(found.worker).to.deep.equal(["w.service"]);
        expect(found.processes.map(({ keeping }) => keeping.unit)).to.deep.equal(["synapse.service", "w.service"]);
        expect(found.outside).to.deep.equal([]);
    });

    it("include one that does not run and would after a boot", () => {
        const idle = unit("w@two.service", { activeState: "inactive", words: argvOf("generic_worker", config, "/w") });
        const other = unit("o.service", {
            activeState: "inactive",
            words: argvOf("generic_worker", "/etc/other.yaml"),
        });
        expect(servicesAmong([main], [config], [], [main, idle, other]).worker).to.deep.equal(["w@two.service"]);
    });

    it("are not another homeserver's that shares a file with it", () => {
        const common = "/etc/synapse/common.yaml";
        const all = [
            running({ unit: "synapse.service" }, argvOf("homeserver", common, config)),
            running({ unit: "b.service" }, argvOf("homeserver", common, "/etc/b.yaml")),
            running({ unit: "b-worker.service" }, argvOf("generic_worker", common, "/etc/b.yaml", "/etc/bw.yaml")),
        ];
        const found = servicesAmong(
            [unit("synapse.service", { words: argvOf("homeserver", common, config) })],
            [],
            all,
            [],
        );
        expect([...found.main, ...found.worker]).to.deep.equal(["synapse.service"]);
        expect(found.outside).to.deep.equal([]);
    });

    it("leave outside what no unit runs that could be held: by hand, by cron, of a user, in a container, in a unit with others", () => {
        const worker = argvOf("generic_worker", config, "/w");
        const all = [
            running({ unit: "session-1.scope" }, worker),
            running({ unit: "cron.service" }, worker),
            running({ unit: "user@7.service", userUnit: "w.service" }, worker),
            running({ container: "a".repeat(64) }, worker),
            running({ unit: "supervisor.service" }, worker),
            running({ unit: "supervisor.service" }, ["/usr/bin/mailer"]),
            running({}, worker),
        ];
        const found = servicesAmong([main], [], all, []);
        expect(found.worker).to.deep.equal([]);
        expect(found.outside).to.have.length(6);
    });

    it("include one with what has started its process, and what that has started", () => {
        const script = running({ unit: "w.service" }, ["/bin/sh", "/opt/start"]);
        const worker = running({ unit: "w.service" }, argvOf("generic_worker", config, "/w"), script.pid);
        const child = running({ unit: "w.service" }, ["/usr/bin/convert"], worker.pid);
        expect(servicesAmong([main], [], [script, worker, child], []).worker).to.deep.equal(["w.service"]);
    });

    it("do not include a second main process under another unit, which may be another homeserver: it is outside", () => {
        const all = [running({ unit: "renamed.service" }, argvOf("homeserver", config))];
        const found = servicesAmong([main], [], all, []);
        expect(found.outside.map(({ keeping }) => keeping.unit)).to.deep.equal(["renamed.service"]);
    });

    it("are refused where a named one runs something else, and not where it waits for a container", () => {
        const all = [running({ unit: "synapse.service" }, ["/usr/sbin/nginx"])];
        expect(servicesAmong([main], [], all, []).strange).to.deep.equal(["synapse.service"]);
        const client = [running({ unit: "synapse.service" }, ["/usr/bin/docker", "start", "-a", "synapse"])];
        expect(servicesAmong([main], [], client, []).strange).to.deep.equal([]);
    });

    it("are known by files of their own where they have any, and never by one that another homeserver has", () => {
        const file = fc.constantFrom<string>("/a", "/b", "/c", "/d");
        fc.assert(
            fc.property(
                fc.array(file, { minLength: 1 }),
                fc.array(fc.array(file, { minLength: 1 })),
                (ours, theirs) => {
                    const found = identifyingFiles(ours, theirs);
                    const others = theirs.filter((files) => files.some((one) => !ours.includes(one))).flat();
                    const own = ours.filter((one) => !others.includes(one));
                    expect(found.every((one) => ours.includes(one))).to.equal(true);
                    expect(found).to.have.length.greaterThan(0);
                    if (own.length > 0) expect(new Set(found)).to.deep.equal(new Set(own));
                },
            ),
        );
    });
});
