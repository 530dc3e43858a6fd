/** `SET …` in a dump: what it says about the dump must fit how we read it; the rest is left to our own session. */
import type { Cursor } from "./cursor.ts";
import { refused, type Statement } from "./statement.ts";

/** Their values do not matter: our sessions have settings of their own. */
const ignored = new Set([
    ...["statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "transaction_timeout"],
    ...["check_function_bodies", "xmloption", "client_min_messages", "escape_string_warning", "row_security"],
    ...["default_with_oids", "default_transaction_read_only", "extra_float_digits", "synchronize_seqscans"],
    ...["datestyle", "intervalstyle", "quote_all_identifiers"],
]);

/** @param cursor  behind `SET` */
export function classifySet(cursor: Cursor): Statement | undefined {
    if (cursor.take("session authorization")) {
        const owner = cursor.takeString() ?? cursor.takeIdentifier();
        if (owner === undefined || !cursor.done) return undefined;
        return { kind: "leftOut", what: "owners", ...(owner === "default" ? {} : { owner }) };
    }
    if (cursor.take("role")) {
        const owner = cursor.takeString() ?? cursor.takeIdentifier();
        return owner === undefined || !cursor.done ? undefined : { kind: "leftOut", what: "owners", owner };
    }
    const name = cursor.takeIdentifier();
    if (name === undefined || !(cursor.takeSymbol("=") || cursor.take("to"))) return undefined;
    const values: string[] = [];
    do {
        const value = cursor.takeString() ?? cursor.takeNumber() ?? cursor.takeIdentifier();
        if (value === undefined) return undefined;
        values.push(value);
    } while (cursor.takeSymbol(","));
    return cursor.done ? classifySetting(name, values) : undefined;
}

function classifySetting(name: string, values: readonly string[]): Statement | undefined {
    const [value = ""] = values;
    if (name === "search_path") {
        const path = values.filter((schema) => schema !== "pg_catalog" && schema !== "");
        return { kind: "searchPath", path };
    }
    if (values.length > 1) return undefined;
    switch (name) {
        case "client_encoding":
            if (/^utf-?8$/i.test(value)) return { kind: "setting" };
            return refused(`client_encoding = ${value}`, "SM-E0904");
        case "standard_conforming_strings":
            // With `off`, a backslash may hide the end of any string.
            return value === "on" ? { kind: "setting" } : refused("standard_conforming_strings = off");
        case "default_tablespace":
            return value === "" ? { kind: "setting" } : { kind: "leftOut", what: "tablespaces" };
        case "default_table_access_method":
            return value === "heap" ? { kind: "setting" } : refused(`the table access method ${value}`);
        default:
            return ignored.has(name) ? { kind: "setting" } : undefined;
    }
}
