/** What a dump says of one table. */
import type { Definition } from "../../catalogue/catalogue.ts";
import { splitAtCommas, type TableName } from "../cursor.ts";
import type { Token } from "../lexer.ts";
import type { DeclaredColumn } from "./column.ts";
import { nameText, qualifiedText, textOf } from "./tokens.ts";

export interface DeclaredTable extends TableName {
    readonly persistence: "logged" | "unlogged";
    readonly options: string | undefined;
    readonly columns: Map<string, DeclaredColumn>;
    replicaIdentity: string;
    rowSecurity: boolean;
}

/** Of the table and of each of its columns, in the form of `catalogue.ts`. */
export function tableDefinitions(table: DeclaredTable): Definition[] {
    const name = qualifiedText(table);
    const { persistence, replicaIdentity, rowSecurity, options, columns } = table;
    const parts = [persistence, `replica identity ${replicaIdentity}`, `row security ${rowSecurity}`];
    return [
        { kind: "table", name, definition: [...parts, ...(options === undefined ? [] : [options])].join(", ") },
        ...[...columns].map(([column, { definition }]) => ({
            ...{ kind: "column", name: `${name}.${nameText(column)}`, definition },
        })),
    ];
}

/** What is said of its TOAST table is kept there. */
export function tableOptions(options: readonly Token[]): string | undefined {
    const own = splitAtCommas(options).filter(([first, second]) => !(first?.text === "toast" && second?.text === "."));
    return own.length === 0 ? undefined : own.map(textOf).join(", ");
}
