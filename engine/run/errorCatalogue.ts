/** Every error this project raises on purpose: one entry a code. `docs/errors.md` is made from this list. */
import { artefactErrors } from "./catalogue/artefactErrors.ts";
import { bucketErrors } from "./catalogue/bucketErrors.ts";
import { bundleErrors } from "./catalogue/bundleErrors.ts";
import { checkErrors } from "./catalogue/checkErrors.ts";
import { checksumErrors } from "./catalogue/checksumErrors.ts";
import { copyErrors } from "./catalogue/copyErrors.ts";
import type { CatalogueEntry } from "./catalogue/entry.ts";
import { exportErrors } from "./catalogue/exportErrors.ts";
import { identityErrors } from "./catalogue/identityErrors.ts";
import { mediaArchiveErrors } from "./catalogue/mediaArchiveErrors.ts";
import { mediaErrors } from "./catalogue/mediaErrors.ts";
import { plainDumpErrors } from "./catalogue/plainDumpErrors.ts";
import { replicationErrors } from "./catalogue/replicationErrors.ts";
import { serviceErrors } from "./catalogue/serviceErrors.ts";
import { sourceFilesErrors } from "./catalogue/sourceFilesErrors.ts";
import { sqliteErrors } from "./catalogue/sqliteErrors.ts";
import { stateErrors } from "./catalogue/stateErrors.ts";
import { tablesErrors } from "./catalogue/tablesErrors.ts";
import { usageErrors } from "./catalogue/usageErrors.ts";

export { exitCodes, type CatalogueEntry, type ErrorFamily } from "./catalogue/entry.ts";

/** Keyed by code. Codes are never given a second meaning. */
export const errorCatalogue = {
    ...usageErrors,
    ...checkErrors,
    ...identityErrors,
    ...stateErrors,
    ...artefactErrors,
    ...plainDumpErrors,
    ...mediaArchiveErrors,
    ...bucketErrors,
    ...mediaErrors,
    ...bundleErrors,
    ...checksumErrors,
    ...replicationErrors,
    ...serviceErrors,
    ...sourceFilesErrors,
    ...sqliteErrors,
    ...exportErrors,
    ...tablesErrors,
    ...copyErrors,
} as const satisfies Record<string, CatalogueEntry>;

export type ErrorCode = keyof typeof errorCatalogue;
