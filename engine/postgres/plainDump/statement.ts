/** What a statement of a dump is, as far as the loader has to know. */
import type { ErrorCode } from "../../run/errorCatalogue.ts";
import type { QualifiedName } from "./cursor.ts";

export type Statement =
    /** Says how the rest of the dump is to be read; our own session has its own settings. */
    | { readonly kind: "setting" }
    | { readonly kind: "searchPath"; readonly path: readonly string[] }
    | { readonly kind: "copy"; readonly table: QualifiedName; readonly columns: readonly string[] }
    | {
          readonly kind: "table";
          readonly table: QualifiedName;
          /** Without generated ones, which have no data. */
          readonly columns: readonly string[];
          readonly unlogged: boolean;
      }
    /** Is run where it stands. */
    | { readonly kind: "object"; readonly what: string; readonly name?: QualifiedName }
    /** Fills a materialized view: runs what the view selects. */
    | { readonly kind: "refresh"; readonly view: QualifiedName }
    | { readonly kind: "extension"; readonly extension: string }
    | { readonly kind: "index"; readonly name: string; readonly table: QualifiedName }
    | {
          readonly kind: "constraint";
          readonly name: string;
          readonly table: QualifiedName;
          /** What a foreign key refers to. */
          readonly references?: QualifiedName;
      }
    | { readonly kind: "trigger"; readonly name: string; readonly table: QualifiedName }
    | {
          readonly kind: "setval";
          readonly sequence: QualifiedName;
          readonly lastValue: string;
          readonly isCalled: boolean;
      }
    /** Known, harmless and of no use here: not run, but counted. */
    | { readonly kind: "leftOut"; readonly what: string; readonly owner?: string }
    | { readonly kind: "createDatabase"; readonly database: string }
    | { readonly kind: "refused"; readonly code: ErrorCode; readonly found: string };

/** The statement as it stands in the dump. */
export interface PlacedStatement {
    readonly statement: Statement;
    readonly text: string;
    /** Of its first byte, counted from 1. */
    readonly line: number;
    /** Schemas in which names without one are looked up. */
    readonly searchPath: readonly string[];
}

export const refused = (found: string, code: ErrorCode = "SM-E0903"): Statement => ({ kind: "refused", code, found });

/** For messages: `public.users`. */
export function describeName({ schema, name }: QualifiedName): string {
    return schema === undefined ? name : `${schema}.${name}`;
}
