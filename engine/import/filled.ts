/** What an import brings into the incoming database, whatever it came in. */
import type { z } from "zod";
import type { importContract, Finding } from "../../contract/index.ts";
import type { DatabaseAddress } from "../postgres/connection.ts";
import type { ImportManifest } from "../postgres/compare/importManifest.ts";
import type { Sequence } from "../postgres/sequences/sequences.ts";
import type { StepRun } from "../run/step.ts";

export type ImportSpec = z.infer<typeof importContract.spec>;

interface Filled extends Pick<ImportManifest, "input" | "dump" | "tables" | "declared"> {
    /** As the input has them, with what was repaired. Absent, they are taken as they are in the database. */
    readonly sequences?: readonly Sequence[];
    /** Beyond what every loaded database is asked: blocks where it is an error. */
    readonly findings: readonly Finding[];
    /** For the report. */
    readonly evidence: object;
}

/** Fills an empty database, logged in as its owner. What it has written when it throws is dropped with the database. */
export type Fill = (spec: ImportSpec, address: DatabaseAddress, run: StepRun) => Promise<Filled>;
