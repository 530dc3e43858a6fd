import { expect } from "chai";
import { keepingIn } from "../../../engine/machines/controlGroup.ts";

const id = "3f4e5d6c7b8a".padEnd(64, "0");

describe("a control group", () => {
    it("of version 1 names the unit in systemd's own hierarchy, whatever the others say", () => {
        const text = [
            "9:name=systemd:/system.slice/matrix-synapse.service",
            "8:pids:/",
            "1:cpu,cpuacct:/system.slice/other.service",
            "0::/system.slice/matrix-synapse.service",
        ];
        expect(keepingIn(`${text.join("\n")}\n`)).to.deep.equal({ unit: "matrix-synapse.service" });
        expect(keepingIn(`${text.toReversed().join("\n")}\n`)).to.deep.equal({ unit: "matrix-synapse.service" });
    });

    it("of version 2 names the unit, also in slices of templates and where the unit has groups of its own", () => {
        const slice = "system-matrix\\x2dsynapse\\x2dworker.slice";
        expect(keepingIn(`0::/system.slice/${slice}/matrix-synapse-worker@one.service\n`)).to.deep.equal({
            unit: "matrix-synapse-worker@one.service",
        });
        expect(keepingIn("0::/system.slice/synapse.service/workers/two\n")).to.deep.equal({ unit: "synapse.service" });
    });

    it("of a user's own unit names both", () => {
        const path = "/user.slice/user-1000.slice/user@1000.service/app.slice/synapse.service";
        expect(keepingIn(`0::${path}\n`)).to.deep.equal({ unit: "user@1000.service", userUnit: "synapse.service" });
    });

    it("names a session's scope, and nothing where nothing keeps it", () => {
        expect(keepingIn("0::/user.slice/user-0.slice/session-3.scope\n")).to.deep.equal({ unit: "session-3.scope" });
        for (const text of ["0::/\n", "0::/init.scope/..\n", "", "nonsense"])
            expect(keepingIn(text).container, text).to.equal(undefined);
        expect(keepingIn("0::/\n")).to.deep.equal({});
    });

    for (const [engine, path] of [
        ["Docker, with its own driver", `/docker/${id}`],
        ["Docker, with systemd's driver", `/system.slice/docker-${id}.scope`],
        ["Docker in a container", `/docker/${"a".repeat(64)}/docker/${id}`],
        ["Podman", `/machine.slice/libpod-${id}.scope`],
        ["Podman of a user", `/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-${id}.scope/container`],
        ["Podman, with its own driver", `/libpod_parent/libpod-${id}`],
        ["containerd in a cluster", `/kubepods.slice/kubepods-pod1.slice/cri-containerd-${id}.scope`],
        ["CRI-O", `/kubepods/burstable/pod1/crio-${id}`],
    ] as const) {
        it(`of ${engine} names the container`, () => {
            for (const text of [`0::${path}\n`, `12:pids:${path}\n0::/\n`, `1:name=systemd:${path}\n`])
                expect(keepingIn(text).container).to.match(/^(3f4e5d6c7b8a0+|a+)$/);
        });
    }

    it("of LXC and systemd-nspawn names the machine", () => {
        expect(keepingIn("0::/lxc.payload.matrix/system.slice/synapse.service\n")).to.deep.equal({
            container: "matrix",
        });
        expect(keepingIn("0::/machine.slice/systemd-nspawn@old.service/payload\n")).to.deep.equal({ container: "old" });
    });
});
