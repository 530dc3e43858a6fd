import { expect } from "chai";
import fc from "fast-check";
import { describeUnit, unitsIn, wordsIn } from "../../../../engine/services/systemd/unitFacts.ts";

const shown = `Restart=always
MainPID=85
ExecStart={ path=/usr/bin/python3 ; argv[]=/usr/bin/python3 -m synapse.app.generic_worker --config-path=/etc/a.yaml ; ignore_errors=no ; start_time=[Mon 2026-11-30 19:57:35 UTC] ; stop_time=[n/a] ; pid=85 ; code=(null) ; status=0/0 }
ExecStart={ path=/bin/true ; argv[]=/bin/true ; ignore_errors=yes ; start_time=[n/a] ; stop_time=[n/a] ; pid=0 ; code=(null) ; status=0/0 }
Id=matrix-synapse-worker@one.service
Names=worker.service matrix-synapse-worker@one.service
Requires="system-matrix\\\\x2dsynapse\\\\x2dworker.slice" sysinit.target
Wants=
PartOf=matrix-synapse.target
RequiredBy=nginx.service
WantedBy=matrix-synapse.target multi-user.target
ConsistsOf=
TriggeredBy=
LoadState=loaded
ActiveState=activating
SubState=auto-restart
FragmentPath=/etc/systemd/system/matrix-synapse-worker@.service
DropInPaths=/etc/systemd/system/matrix-synapse-worker@one.service.d/a.conf /etc/systemd/system/service.d/b.conf
UnitFileState=enabled

Id=nope.service
Names=nope.service
LoadState=not-found
ActiveState=inactive
SubState=dead
MainPID=0
`;

describe("what systemctl shows of units", () => {
    it("is read with lists, quoted names, several commands, and units that are not there", () => {
        const [worker, nope, ...others] = unitsIn(shown);
        expect(others).to.deep.equal([]);
        expect(worker).to.deep.include({
            name: "matrix-synapse-worker@one.service",
            mainPid: 85,
            restart: "always",
            enabled: "enabled",
            names: ["worker.service", "matrix-synapse-worker@one.service"],
            pullsIn: ["system-matrix\\x2dsynapse\\x2dworker.slice", "sysinit.target"],
            pulledInBy: ["matrix-synapse.target", "multi-user.target", "nginx.service"],
            stopsWithIt: ["nginx.service"],
            partOf: ["matrix-synapse.target"],
        });
        expect(worker?.words).to.include.members(["synapse.app.generic_worker", "/bin/true"]);
        expect(worker?.dropIns).to.have.length(2);
        expect(nope).to.deep.include({
            name: "nope.service",
            loadState: "not-found",
            mainPid: 0,
            enabled: "",
            words: [],
        });
    });

    it("is told in one line", () => {
        expect(unitsIn(shown).map(describeUnit)).to.deep.equal([
            "matrix-synapse-worker@one.service: activating (auto-restart), process 85, enabled, Restart=always",
            "nope.service: inactive (dead)",
        ]);
    });

    it("of a list gives back whatever names are in it", () => {
        const name = fc.stringMatching(/^[A-Za-z0-9:_.\\@-]{1,30}$/);
        const quoted = (one: string): string => (one.includes("\\") ? `"${one.replaceAll("\\", "\\\\")}"` : one);
        fc.assert(
            fc.property(fc.array(name), (names) => {
                expect(wordsIn(names.map(quoted).join(" "))).to.deep.equal(names);
            }),
        );
    });
});
