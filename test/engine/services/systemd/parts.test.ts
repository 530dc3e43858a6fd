import { expect } from "chai";
import fc from "fast-check";
import { allOf, missingUnits, partsOf } from "../../../../engine/services/systemd/parts.ts";
import { graphOf, unit } from "./graph.ts";

const main = "synapse.service";
const worker = "worker@one.service";
const services = { main: [main], worker: [worker] };

describe("the units of a homeserver", () => {
    it("are its services, what triggers them, and the target that pulls in nothing else", () => {
        const graph = graphOf(
            unit(main, { pulledInBy: ["synapse.target"], triggeredBy: ["synapse.socket"] }),
            unit(worker, { pulledInBy: ["synapse.target"], partOf: ["synapse.target"] }),
            unit("synapse.socket"),
            unit("synapse.target", {
                pullsIn: [main, worker, "system-worker.slice", "sysinit.target"],
                triggeredBy: ["synapse.timer"],
                pulledInBy: ["multi-user.target"],
            }),
            unit("synapse.timer"),
        );
        expect(partsOf(graph, services)).to.deep.equal({
            main: [main],
            worker: [worker],
            trigger: ["synapse.socket", "synapse.timer"],
            target: ["synapse.target"],
            alongside: [],
        });
    });

    it("include a target of such targets, and none that pulls in what is another's", () => {
        const graph = graphOf(
            unit(main, { pulledInBy: ["synapse.target"] }),
            unit(worker, { pulledInBy: ["workers.target"] }),
            unit("workers.target", { pullsIn: [worker], pulledInBy: ["synapse.target"] }),
            unit("synapse.target", { pullsIn: [main, "workers.target"], pulledInBy: ["matrix.target"] }),
            unit("matrix.target", { pullsIn: ["synapse.target", "bridge.service"] }),
        );
        expect(partsOf(graph, services).target).to.deep.equal(["synapse.target", "workers.target"]);
    });

    it("never include a target of the system's own, however few units it has", () => {
        const names = [
            "multi-user.target",
            "network-online.target",
            "default.target",
            "graphical.target",
            "timers.target",
        ];
        const graph = graphOf(
            unit(main, { pulledInBy: names }),
            unit(worker),
            ...names.map((name) => unit(name, { pullsIn: [main] })),
        );
        expect(partsOf(graph, services).target).to.deep.equal([]);
        expect(
            missingUnits(graphOf(unit(main, { pulledInBy: names }), unit(worker)), partsOf(graph, services)),
        ).to.deep.equal([]);
    });

    it("stop others with them, and those others: these are known and never held", () => {
        const graph = graphOf(
            unit(main, { stopsWithIt: ["bridge.service", worker] }),
            unit(worker),
            unit("bridge.service", { stopsWithIt: ["watch.service"] }),
            unit("watch.service", { stopsWithIt: ["bridge.service"] }),
        );
        expect(partsOf(graph, services).alongside).to.deep.equal(["bridge.service", "watch.service"]);
    });

    it("are asked for until all are known, and each is one part of it alone, whatever hangs on what", () => {
        const kinds = ["service", "target", "timer", "socket"];
        const name = fc.integer({ min: 0, max: 11 }).map((number) => `u${number}.${kinds[number % 4] ?? ""}`);
        const relations = fc.record({
            triggeredBy: fc.array(name, { maxLength: 2 }),
            pulledInBy: fc.array(name, { maxLength: 3 }),
            pullsIn: fc.array(name, { maxLength: 3 }),
            stopsWithIt: fc.array(name, { maxLength: 3 }),
            partOf: fc.array(name, { maxLength: 2 }),
        });
        fc.assert(
            fc.property(fc.array(relations, { minLength: 12, maxLength: 12 }), (all) => {
                const whole = all.map((one, number) => unit(`u${number}.${kinds[number % 4] ?? ""}`, one));
                const known = graphOf(...whole);
                const of = { main: ["u0.service"], worker: ["u4.service"] };
                const graph = graphOf();
                let parts = partsOf(graph, of);
                for (let round = 0; missingUnits(graph, parts).length > 0; round++) {
                    expect(round).to.be.lessThan(12);
                    for (const missing of missingUnits(graph, parts))
                        graph.set(missing, known.get(missing) ?? unit(missing));
                    parts = partsOf(graph, of);
                }
                expect(parts).to.deep.equal(partsOf(known, of));
                expect(new Set(allOf(parts)).size).to.equal(allOf(parts).length);
                const own = new Set([...parts.main, ...parts.worker, ...parts.trigger, ...parts.target]);
                for (const target of parts.target)
                    expect(
                        known.get(target)?.pullsIn.every((one) => own.has(one)),
                        target,
                    ).to.equal(true);
            }),
        );
    });
});
