import { expect } from "chai";
import { thisMachine } from "../../../../engine/machines/local/localMachine.ts";
import type { Machine } from "../../../../engine/machines/machine.ts";
import { MigrationError } from "../../../../engine/run/errors.ts";
import { serviceControl } from "../../../../engine/services/service.ts";
import { ranBefore, stoppedService } from "../../../../engine/services/serviceControl.ts";
import { linesWith } from "../../../../engine/services/systemd/cronLines.ts";
import { expectError } from "../../../support/expectError.ts";

/** A machine without systemd, as containers are. */
const without: Machine = {
    ...thisMachine,
    name: "root@old.example.org",
    isHere: false,
    run: () =>
        Promise.reject(
            new MigrationError("SM-E1101", {
                where: "systemctl",
                found: "it ended with exit code 1\nSystem has not been booted with systemd as init system",
            }),
        ),
};

describe("a service of systemd", () => {
    it("on a machine without systemd is refused with what that has said (SM-E1421)", async () => {
        const control = serviceControl({ kind: "systemd", units: ["synapse.service"] }, without);
        const error = await expectError("SM-E1421", () => control.status());
        expect(error.detail.where).to.equal("root@old.example.org");
        expect(error.detail.found).to.contain("not been booted with systemd");
        expect(control.name).to.equal("synapse.service on root@old.example.org");
    });

    it("is mentioned in lines of crontabs by its unit, its configuration, or Synapse's own starter", () => {
        const crontab = [
            "# systemctl restart synapse",
            "0 4 * * 0 root systemctl restart synapse",
            "@reboot synctl start",
            "* * * * * root test -e /etc/synapse.yaml",
            "* * * * * root backup",
        ];
        expect(linesWith(crontab.join("\n"), ["synapse.service", "/etc/synapse.yaml"])).to.deep.equal(
            crontab.slice(1, 4),
        );
    });
});

describe("what was kept of a stopped service", () => {
    const process = {
        ...{ pid: 1, startTicks: "2", argv: ["python"], workingDirectory: "/", uid: 0, gid: 0, groups: [], umask: 18 },
        ...{ environment: {}, otherVariables: [], ports: [8008] },
    };

    it("is still read as it was written before there were units", () => {
        expect(stoppedService.parse({ kind: "process", process })).to.deep.equal({ kind: "process", process });
        expect(stoppedService.parse({ kind: "process" })).to.deep.equal({ kind: "process" });
    });

    it("says whether anything of it ran, for which a target that is active does not count", () => {
        const unit = { name: "a.service", part: "main" as const, active: true, enabled: "enabled" };
        const kept = { kind: "systemd" as const, configFiles: [], ports: [] };
        expect(ranBefore({ kind: "process" })).to.equal(false);
        expect(ranBefore({ kind: "process", process })).to.equal(true);
        expect(ranBefore({ ...kept, units: [unit] })).to.equal(true);
        expect(
            ranBefore({
                ...kept,
                units: [
                    { ...unit, active: false },
                    { ...unit, part: "target" },
                ],
            }),
        ).to.equal(false);
    });
});
