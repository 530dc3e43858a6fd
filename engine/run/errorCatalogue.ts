/** Every error this project raises on purpose: one entry a code, in the file of its first digits. `docs/errors.md` is made from this list. */
import { e02Usage } from "./catalogue/e02Usage.ts";
import { e05Checks } from "./catalogue/e05Checks.ts";
import { e056Trial } from "./catalogue/e056Trial.ts";
import { e06Proofs } from "./catalogue/e06Proofs.ts";
import { e07State } from "./catalogue/e07State.ts";
import { e072Fence } from "./catalogue/e072Fence.ts";
import { e08Identity } from "./catalogue/e08Identity.ts";
import { e084Target } from "./catalogue/e084Target.ts";
import { e086Data } from "./catalogue/e086Data.ts";
import { e090Dumps } from "./catalogue/e090Dumps.ts";
import { e091Inputs } from "./catalogue/e091Inputs.ts";
import { e092Encryption } from "./catalogue/e092Encryption.ts";
import { e093DumpFiles } from "./catalogue/e093DumpFiles.ts";
import { e094Archives } from "./catalogue/e094Archives.ts";
import { e096Media } from "./catalogue/e096Media.ts";
import { e097Sqlite } from "./catalogue/e097Sqlite.ts";
import { e098Tables } from "./catalogue/e098Tables.ts";
import { e099Buckets } from "./catalogue/e099Buckets.ts";
import { e10SecretFiles } from "./catalogue/e10SecretFiles.ts";
import { e11Programs } from "./catalogue/e11Programs.ts";
import { e12Space } from "./catalogue/e12Space.ts";
import { e13Replication } from "./catalogue/e13Replication.ts";
import { e14Machines } from "./catalogue/e14Machines.ts";
import { e145Discovery } from "./catalogue/e145Discovery.ts";
import { e147Containers } from "./catalogue/e147Containers.ts";
import { e15AfterCommit } from "./catalogue/e15AfterCommit.ts";
import { e16Installed } from "./catalogue/e16Installed.ts";
import type { CatalogueEntry } from "./catalogue/entry.ts";

export { exitCodes, type CatalogueEntry, type ErrorFamily } from "./catalogue/entry.ts";

/** Keyed by code. Codes are never given a second meaning. */
export const errorCatalogue = {
    ...e02Usage,
    ...e05Checks,
    ...e056Trial,
    ...e06Proofs,
    ...e07State,
    ...e072Fence,
    ...e08Identity,
    ...e084Target,
    ...e086Data,
    ...e090Dumps,
    ...e091Inputs,
    ...e092Encryption,
    ...e093DumpFiles,
    ...e094Archives,
    ...e096Media,
    ...e097Sqlite,
    ...e098Tables,
    ...e099Buckets,
    ...e10SecretFiles,
    ...e11Programs,
    ...e12Space,
    ...e13Replication,
    ...e14Machines,
    ...e145Discovery,
    ...e147Containers,
    ...e15AfterCommit,
    ...e16Installed,
} as const satisfies Record<string, CatalogueEntry>;

export type ErrorCode = keyof typeof errorCatalogue;
