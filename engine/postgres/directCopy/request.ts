/** What a copy is told, and what it says about what it has copied. */
import type { DatabaseAddress } from "../connection.ts";
import type { Manifest } from "../compare/dumpManifest.ts";

/** One database into another one, without files between them. */
export interface DatabaseCopy {
    readonly source: DatabaseAddress;
    /** Empty but for our own schema, as the role that will own everything in it: not as a superuser. */
    readonly target: DatabaseAddress;
    /** The same database, as the role that makes what only a superuser may make: extensions. */
    readonly admin?: DatabaseAddress;
    /** As `pg_export_snapshot()` or a replication slot gave it. The caller holds it open until the copy has ended. */
    readonly snapshot: string;
    /** Of pg_dump and pg_restore: as new as the source's server. */
    readonly clientDirectory: string;
    /** Names sessions and files. */
    readonly step: string;
    /** Pairs of connections that copy at a time. */
    readonly jobs: number;
    /** Of rows as COPY writes them, all connections together; no limit when absent. */
    readonly bytesPerSecond?: number;
    /** Nothing may write to the source meanwhile: a sequence that moves is an error. */
    readonly standsStill: boolean;
    /**
     * Continues what an earlier attempt has copied out of the same, unchanged source; begins anew when there is nothing to continue. Only for a
     * source that stands still.
     */
    readonly resume?: CopyResume;
}

interface CopyResume {
    /** Stands for the state of the source: that of the earlier attempt must have been the same. */
    readonly state: string;
}

/** What was copied: the part of a manifest that tells what a database holds. */
export interface CopyContent extends Pick<Manifest, "snapshot" | "tables" | "sequences" | "definitions"> {
    /** Of rows as COPY writes them; less than all where an earlier attempt had copied some. */
    readonly bytes: number;
    /** By part, as the clock had it: parts overlap. */
    readonly seconds: CopySeconds;
}

interface CopySeconds {
    /** Schema dump, tables made. */
    readonly schema: number;
    /** Until the last row was in. */
    readonly rows: number;
    /** From then until the last index was built, keys checked, and tables analysed. */
    readonly indexes: number;
    /** Until the last row of the source was hashed; beside the two before. */
    readonly hashes: number;
    readonly total: number;
}
