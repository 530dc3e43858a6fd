/** What `systemctl show` says of units (systemctl(1), systemd.unit(5)), read without guessing. Pure. */

/** A unit, and how it hangs together with others. */
export interface UnitFacts {
    readonly name: string;
    /** Its own and its aliases'. */
    readonly names: readonly string[];
    /** `loaded`, `not-found`, `masked`, … */
    readonly loadState: string;
    /** `active`, `reloading`, `inactive`, `failed`, `activating`, `deactivating`. */
    readonly activeState: string;
    readonly subState: string;
    /** As `is-enabled` says it; empty for a unit without a file. */
    readonly enabled: string;
    readonly fragment: string;
    readonly dropIns: readonly string[];
    /** 0 where there is none. */
    readonly mainPid: number;
    /** `no`, `always`, …; empty for what is no service. */
    readonly restart: string;
    /** Of all of its `ExecStart=`, a word each; words with blanks are not told apart. */
    readonly words: readonly string[];
    /** Of its `ExecStartPre=`, likewise. */
    readonly prepares: readonly string[];
    readonly triggeredBy: readonly string[];
    /** Whatever starts it when it starts itself. */
    readonly pulledInBy: readonly string[];
    /** Whatever it starts when it starts. */
    readonly pullsIn: readonly string[];
    /** Whatever is stopped when it is stopped. */
    readonly stopsWithIt: readonly string[];
    readonly partOf: readonly string[];
}

/** Older versions leave out those that they do not know. */
const pulledInBy = ["WantedBy", "RequiredBy", "BoundBy", "UpheldBy"];
const pullsIn = ["Wants", "Requires", "BindsTo", "Upholds", "ConsistsOf"];
const stopsWithIt = ["RequiredBy", "RequisiteOf", "BoundBy", "ConsistsOf", "PropagatesStopTo"];
const others = ["TriggeredBy", "PartOf", "Id", "Names", "LoadState", "ActiveState", "SubState", "UnitFileState"];
const ofFiles = ["FragmentPath", "DropInPaths", "MainPID", "Restart", "ExecStart", "ExecStartPre"];
export const properties: readonly string[] = [
    ...new Set([...pulledInBy, ...pullsIn, ...stopsWithIt, ...others, ...ofFiles]),
];

/** @param text  blocks with an empty line between them, a property a line */
export function unitsIn(text: string): UnitFacts[] {
    return text
        .split(/\n{2,}/)
        .map(valuesIn)
        .filter((values) => values.has("Id"))
        .map(factsOf);
}

function valuesIn(block: string): Map<string, string[]> {
    const values = new Map<string, string[]>();
    for (const line of block.split("\n")) {
        const [, name, value] = /^([A-Za-z0-9]+)=(.*)$/.exec(line) ?? [];
        if (name === undefined || value === undefined) continue;
        values.set(name, [...(values.get(name) ?? []), value]);
    }
    return values;
}

function factsOf(values: ReadonlyMap<string, string[]>): UnitFacts {
    const one = (name: string): string => values.get(name)?.[0] ?? "";
    const list = (...names: string[]): string[] => [
        ...new Set(names.flatMap((name) => (values.get(name) ?? []).flatMap(wordsIn))),
    ];
    return {
        name: one("Id"),
        names: list("Names"),
        loadState: one("LoadState"),
        activeState: one("ActiveState"),
        subState: one("SubState"),
        enabled: one("UnitFileState"),
        fragment: one("FragmentPath"),
        dropIns: list("DropInPaths"),
        mainPid: Number(/^\d+$/.exec(one("MainPID"))?.[0] ?? 0),
        restart: one("Restart"),
        words: (values.get("ExecStart") ?? []).flatMap(wordsOfCommand),
        prepares: (values.get("ExecStartPre") ?? []).flatMap(wordsOfCommand),
        triggeredBy: list("TriggeredBy"),
        pulledInBy: list(...pulledInBy),
        pullsIn: list(...pullsIn),
        stopsWithIt: list(...stopsWithIt),
        partOf: list("PartOf"),
    };
}

function wordsOfCommand(command: string): string[] {
    return (/ argv\[\]=(.*?) ; ignore_errors=/.exec(command)?.[1] ?? "").split(" ").filter((word) => word !== "");
}

/** Names with a backslash are in quotation marks, and the backslash is doubled then: `"system-a\\x2db.slice"`. */
export function wordsIn(text: string): string[] {
    return [...text.matchAll(/"((?:[^"\\]|\\.)*)"|(\S+)/g)].map(([, quoted, plain]) =>
        quoted === undefined ? (plain ?? "") : quoted.replace(/\\(.)/g, "$1"),
    );
}

/** Nothing of it runs, nor is about to. */
export const isDown = ({ activeState }: UnitFacts): boolean => activeState === "inactive" || activeState === "failed";
export const isUp = ({ activeState }: UnitFacts): boolean => activeState === "active" || activeState === "reloading";

/** For evidence: state, and where it comes from. */
export function describeUnit(unit: UnitFacts): string {
    const process = unit.mainPid === 0 ? "" : `, process ${unit.mainPid}`;
    const restart = ["", "no"].includes(unit.restart) ? "" : `, Restart=${unit.restart}`;
    const enabled = unit.enabled === "" ? "" : `, ${unit.enabled}`;
    return `${unit.name}: ${unit.activeState} (${unit.subState})${process}${enabled}${restart}`;
}
