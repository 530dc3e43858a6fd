/** Which units belong to a homeserver, beside its services: what starts those, and what goes down with them. Pure. */
import type { UnitFacts } from "./unitFacts.ts";

/** Names of units; none is in two lists. */
export interface Parts {
    readonly main: readonly string[];
    readonly worker: readonly string[];
    /** Sockets, timers and paths that start one of the others. */
    readonly trigger: readonly string[];
    /** Those that pull in nothing but this homeserver's units. */
    readonly target: readonly string[];
    /** Units of others that are stopped with them, because they require them or are a part of them. */
    readonly alongside: readonly string[];
}

/** Targets of the system's own (systemd.special(7)): others hang on them, whatever pulls them in today. */
const systemTargets =
    /^(basic|bluetooth|boot-complete|cryptsetup.*|ctrl-alt-del|default|emergency|exit|final|first-boot-complete|getty.*|graphical|halt|hibernate|hybrid-sleep|initrd.*|integritysetup.*|kexec|local-fs.*|multi-user|network.*|nss-.*|paths|poweroff|printer|reboot|remote-.*|rescue|rpcbind|runlevel\d|shutdown|sigpwr|sleep|slices|smartcard|sockets|sound|suspend.*|swap|sysinit|system-.*|time-.*|timers|umount|usb-gadget|veritysetup.*)\.target$/;

/** Every unit has some of these; they start nothing that could be a homeserver's. */
const isGround = (name: string): boolean =>
    /\.(slice|mount|automount|swap|device)$/.test(name) || systemTargets.test(name);

/**
 * @param graph  all that is known so far; what is not in it is passed over, and named by {@link missingUnits}
 * @param services  the homeserver's own, as its processes tell them
 */
export function partsOf(
    graph: ReadonlyMap<string, UnitFacts>,
    services: { readonly main: readonly string[]; readonly worker: readonly string[] },
): Parts {
    const of = (names: Iterable<string>, list: (unit: UnitFacts) => readonly string[]): string[] =>
        [...names].flatMap((name) => {
            const unit = graph.get(name);
            return unit === undefined ? [] : list(unit);
        });
    const own = new Set([...services.main, ...services.worker]);
    const target = new Set<string>();
    const trigger = new Set<string>();
    for (let before = -1; before !== own.size;) {
        before = own.size;
        for (const name of of(own, ({ triggeredBy }) => triggeredBy)) if (!own.has(name)) trigger.add(name);
        for (const name of trigger) own.add(name);
        for (const name of of(own, candidateTargets)) {
            const pullsIn = graph.get(name)?.pullsIn.filter((one) => !isGround(one)) ?? [];
            if (own.has(name) || pullsIn.length === 0 || !pullsIn.every((one) => own.has(one))) continue;
            target.add(name);
            own.add(name);
        }
    }
    const alongside = new Set<string>();
    for (let before = -1; before !== alongside.size;) {
        before = alongside.size;
        for (const name of of([...own, ...alongside], ({ stopsWithIt }) => stopsWithIt))
            if (!own.has(name)) alongside.add(name);
    }
    return {
        main: services.main,
        worker: services.worker.filter((name) => !services.main.includes(name)),
        trigger: [...trigger].sort(),
        target: [...target].sort(),
        alongside: [...alongside].sort(),
    };
}

const candidateTargets = ({ pulledInBy, partOf }: UnitFacts): string[] =>
    [...pulledInBy, ...partOf].filter((name) => name.endsWith(".target") && !systemTargets.test(name));

/** What has to be asked for, so that the parts can be told. */
export function missingUnits(graph: ReadonlyMap<string, UnitFacts>, parts: Parts): string[] {
    const wanted = allOf(parts).flatMap((name) => {
        const unit = graph.get(name);
        if (unit === undefined) return [name];
        return [...unit.triggeredBy, ...candidateTargets(unit), ...unit.stopsWithIt];
    });
    return [...new Set(wanted)].filter((name) => !graph.has(name));
}

export const allOf = ({ main, worker, trigger, target, alongside }: Parts): string[] => [
    ...main,
    ...worker,
    ...trigger,
    ...target,
    ...alongside,
];
