/**
 * Which part of the program may import from which: `npm run check:imports`. Types count as imports, too.
 *
 * steps → engine → contract; components → contract; the rest beside them. See CONTRIBUTING.md for what each room is.
 */

/** Rooms of the engine from the ground up: a room imports from rooms of lower floors, and rooms of one floor do not know each other. */
const floors = [
    ["run"],
    ["machines"],
    ["services"],
    ["synapse", "report"],
    ["postgres", "gateway"],
    ["fence", "bundle", "discover", "installed"],
    ["media", "sqlite", "tables", "runIdentity", "standing"],
    ["probe", "assess"],
    ["import"],
];

/** What the control plane may know besides contracts: how errors and findings are told, and which Node, CLI and packages it may run on. */
const knownToComponents =
    "^(engine/(run/(errors|finding|parseJson)|assess/acknowledgement)|toolchain/(versions|installedPackages|runtimeRules|findProgram))\\.ts$";

const upwards = floors.flatMap((rooms, floor) =>
    rooms.map((room) => {
        const below = floors.slice(0, floor).flat();
        return {
            name: `engine-${room}`,
            comment: `engine/${room} imports from ${below.length === 0 ? "no other room of the engine" : below.join(", ")}`,
            severity: "error",
            from: { path: `^engine/${room}/` },
            to: { path: "^engine/", pathNot: `^engine/(${[room, ...below].join("|")})/` },
        };
    }),
);

const forbidden = (name, comment, from, to) => ({ name, comment, severity: "error", from, to });

export default {
    forbidden: [
        forbidden("no-circles", "files that need each other are one file, or lack a third", {}, { circular: true }),
        forbidden("not-resolved", "an import leads somewhere", {}, { couldNotResolve: true }),
        forbidden(
            "contract-is-the-ground",
            "contract/ does nothing and imports nothing of ours",
            { path: "^contract/" },
            { path: "^(engine|steps|components|rehearsal|toolchain|bench|test)/|^index\\.ts$" },
        ),
        forbidden(
            "engine-imports-down",
            "engine/ imports contract/ and itself",
            { path: "^engine/" },
            { path: "^(steps|components|rehearsal|toolchain|bench|test)/|^index\\.ts$" },
        ),
        forbidden(
            "engine-rooms-are-listed",
            "every room of the engine has its floor in this file",
            { path: "^engine/", pathNot: `^engine/(${floors.flat().join("|")})/` },
            {},
        ),
        ...upwards,
        forbidden(
            "steps-do-not-know-each-other",
            "a step imports no other file of steps/: what two steps need is in engine/",
            { path: "^steps/(assess|stage|migrate|cutover|finish|export)/" },
            { path: "^(steps|components|rehearsal|toolchain|bench|test)/|^index\\.ts$" },
        ),
        forbidden(
            "commands-import-down",
            "the command line imports steps, engine, contract, and the set-up that `init` asks",
            { path: "^steps/" },
            { path: "^(components|rehearsal|bench|test)/|^index\\.ts$" },
        ),
        forbidden(
            "data-plane-without-pulumi",
            "the data plane runs without Pulumi",
            { path: "^(contract|engine|steps)/" },
            { path: "(^|/)node_modules/@pulumi/" },
        ),
        forbidden(
            "components-know-contracts",
            "the control plane declares; it touches no data",
            { path: "^(components/|index\\.ts$)" },
            { path: "^(engine|steps|rehearsal|toolchain|bench|test)/", pathNot: knownToComponents },
        ),
        forbidden(
            "toolchain-imports-down",
            "the set-up imports engine/ and contract/",
            { path: "^toolchain/" },
            { path: "^(steps|components|rehearsal|bench|test)/|^index\\.ts$" },
        ),
        forbidden(
            "rehearsal-imports-down",
            "a rehearsal calls the program as people do, and checks it from outside",
            { path: "^rehearsal/" },
            { path: "^(steps|components|bench|test)/|^index\\.ts$" },
        ),
        forbidden(
            "bench-imports-down",
            "the bench measures the engine",
            { path: "^bench/" },
            { path: "^(steps|components|test)/|^index\\.ts$" },
        ),
    ],
    options: {
        tsPreCompilationDeps: true,
        tsConfig: { fileName: "tsconfig.json" },
        doNotFollow: { path: "node_modules" },
        enhancedResolveOptions: { exportsFields: ["exports"], conditionNames: ["import", "node", "default", "types"] },
    },
};
