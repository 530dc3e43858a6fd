/** Columns whose values are never shown, even where they are keys. */
import { escapeIdentifier } from "pg";

/** By what their names say; Synapse's own are listed where the name says nothing (schema versions 83 to 94). */
const telling = /token|password|secret|pushkey|nonce|session|credential|ciphertext|private|signature|key_json/i;
const secret: ReadonlySet<string> = new Set([
    ...["e2e_one_time_keys_json.key_id", "e2e_room_keys.session_data", "e2e_room_keys_versions.auth_data"],
    ...[
        "dehydrated_devices.device_data",
        "dehydrated_devices.device_id",
        "pushers.data",
        "user_external_ids.external_id",
    ],
    ...[
        "ui_auth_sessions.clientdict",
        "ui_auth_sessions.serverdict",
        "account_data.content",
        "device_inbox.message_json",
    ],
]);

function isSecretColumn(table: string, column: string): boolean {
    return telling.test(column) || secret.has(`${table}.${column}`);
}

/** SQL for the text that stands for a value in messages and plans: the value, or the beginning of its SHA-256. */
function shownValue(alias: string, table: string, column: string): string {
    const text = `${alias}.${escapeIdentifier(column)}::text`;
    const shown = isSecretColumn(table, column)
        ? `'sha256:' || left(encode(sha256(convert_to(${text}, 'UTF8')), 'hex'), 12)`
        : `left(${text}, 120)`;
    return `coalesce(${shown}, 'NULL')`;
}

/** SQL for the values of several columns: `room_id=!a:b, user_id=@c:d`. */
export function shownKey(alias: string, table: string, columns: readonly string[]): string {
    if (columns.length === 0) return "'a row'";
    return columns
        .map((column) => `'${column.replaceAll("'", "''")}=' || ${shownValue(alias, table, column)}`)
        .join(` || ', ' || `);
}
