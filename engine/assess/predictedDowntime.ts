/** The downtime that the assessment foresees, and what it is made of. */
import { availableParallelism } from "node:os";
import type { z } from "zod";
import type { assessContract, Finding } from "../../contract/index.ts";
import type { DatabaseAddress } from "../postgres/connection.ts";
import { readPassword } from "../postgres/server/passwordFile.ts";
import { isHere } from "../postgres/databaseAddress.ts";
import { MigrationError } from "../run/errors.ts";
import { measureSpeed } from "./calibration.ts";
import { calibrationOf, predict, type Calibration, type CopyMode, type Move, type Prediction } from "./sizeModel.ts";

type AssessSpec = z.infer<typeof assessContract.spec>;
type Sizes = z.infer<typeof assessContract.result>["sizes"];

/** Of a server that is not on this machine: no statement tells how many it has. */
const remoteCores = 2;

export interface Downtime {
    readonly seconds: number;
    /** Says how it was found, in severity `info`. */
    readonly finding: Finding;
}

/**
 * Predicts the downtime with the model of sizeModel.ts, scaled by the target's own speed where that may be measured: not in a preview, and
 * only on a server that exists already.
 *
 * @param source  absent where the source is files
 */
export async function foreseeDowntime(
    spec: AssessSpec,
    sizes: Pick<Sizes, "databaseBytes" | "mediaBytes">,
    source: DatabaseAddress | undefined,
): Promise<Downtime> {
    const move = moveOf(spec, sizes, source);
    const calibration = spec.quick ? undefined : await calibrationFor(spec.targetServer);
    const prediction = predict(move, calibration);
    return { seconds: Math.ceil(prediction.downtimeSeconds), finding: describe(move, prediction, calibration) };
}

/** What is moved with what, as far as it can be known. */
function moveOf(
    { copy, targetServer, source: { kind } }: AssessSpec,
    { databaseBytes, mediaBytes }: Pick<Sizes, "databaseBytes" | "mediaBytes">,
    source: DatabaseAddress | undefined,
): Move {
    const here = availableParallelism();
    const sourceIsHere = source === undefined || isHere(source);
    const targetIsHere =
        targetServer?.kind !== "existing" || isHere({ ...targetServer, name: "postgres", user: targetServer.admin });
    const [sourceCores, targetCores] = [sourceIsHere ? here : remoteCores, targetIsHere ? here : remoteCores];
    const running = kind === "selfHosted" ? (copy?.mode ?? "archive") : "port";
    const mode: CopyMode = running === "port" ? "import" : running;
    return {
        ...{ mode, databaseBytes, mediaBytes, sourceCores, targetCores },
        jobs: copy?.jobs ?? Math.min(sourceCores, targetCores),
        sameMachine: sourceIsHere && targetIsHere,
    };
}

/** Undefined where the target cannot be asked: that is what another check reports. */
async function calibrationFor(server: AssessSpec["targetServer"]): Promise<Calibration | undefined> {
    if (server?.kind !== "existing") return undefined;
    const { host, port, admin, adminPasswordFile } = server;
    try {
        const address = { host, port, name: "postgres", user: admin, password: await readPassword(adminPasswordFile) };
        return calibrationOf(await measureSpeed(address, "assess"));
    } catch (error) {
        if (error instanceof MigrationError) return undefined;
        throw error;
    }
}

function describe(
    move: Move,
    { downtimeSeconds, parts, beforeSeconds, bottleneck }: Prediction,
    calibration?: Calibration,
): Finding {
    const shown = Object.entries(parts)
        .filter(([, seconds]) => seconds >= 1)
        .map(([name, seconds]) => `${partNames[name] ?? name} ${duration(seconds)}`);
    const basis =
        calibration === undefined
            ? "model, not yet measured"
            : `model, calibrated on the target: ${calibration.copyIn.toFixed(2)} and ${calibration.index.toFixed(2)} times the speed it knows for rows and indexes`;
    const before =
        beforeSeconds === 0 ? [] : [`${duration(beforeSeconds)} of copying before it, while the homeserver runs`];
    return {
        id: "SM-I0310",
        severity: "info",
        evidence: [
            `predicted downtime with copy ${move.mode}: ${duration(downtimeSeconds)} (${shown.join(", ")})`,
            ...(move.databaseBytes === 0 ? ["without the database, whose size is not known yet"] : []),
            ...before,
            `held up by: ${bottleneck}; ${basis}`,
        ].join("; "),
        fix:
            move.mode === "replicate" || move.mode === "import"
                ? "rehearse: a rehearsal measures what this only predicts"
                : "rehearse: a rehearsal measures what this only predicts; copy: replicate has a downtime that does not grow with the database",
    };
}

const partNames: Readonly<Record<string, string>> = {
    fixed: "stopping and starting",
    definitions: "definitions",
    rows: "rows",
    indexes: "indexes",
    verification: "comparing",
    cutOver: "last changes",
    media: "media",
};

/** `42 s`, `3 min`, `5.5 h`. */
function duration(seconds: number): string {
    if (seconds < 120) return `${Math.ceil(seconds)} s`;
    return seconds < 7200 ? `${Math.ceil(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`;
}
