/** Whether the server signs as the one that was left. */
import { z } from "zod";
import { isSignedBy } from "../source/signingKey.ts";
import { differs, type HomeserverCheck } from "./outcome.ts";

/** Loose at every level: the signature covers members that are not looked at. */
const keys = z.record(z.string(), z.looseObject({ key: z.string() }));
const keyDocument = z.looseObject({
    server_name: z.string(),
    valid_until_ts: z.number(),
    verify_keys: keys,
    old_verify_keys: keys,
    signatures: z.record(z.string(), z.record(z.string(), z.string())),
});

const keysOf = (keys: Readonly<Record<string, { readonly key: string }>>): Record<string, string> =>
    Object.fromEntries(Object.entries(keys).map(([id, { key }]) => [id, key]));

export const identityChecks: readonly HomeserverCheck[] = [
    {
        name: "signing keys",
        run: async ({ client, expected }) => {
            const document = await client.get("/_matrix/key/v2/server", keyDocument);
            const signatures = document.signatures[expected.serverName] ?? {};
            const unsigned = Object.entries(expected.verifyKeys).filter(
                ([id, key]) => !isSignedBy(document, signatures[id] ?? "", key),
            );
            return {
                problems: [
                    ...differs("server name", document.server_name, expected.serverName),
                    ...differs("verify keys", keysOf(document.verify_keys), expected.verifyKeys),
                    ...differs("old verify keys", keysOf(document.old_verify_keys), expected.oldVerifyKeys),
                    ...unsigned.map(([id]) => `the server's key document has no valid signature of ${id}`),
                    ...(document.valid_until_ts > Date.now() ? [] : ["the server's key document has expired"]),
                ],
                seen: Object.keys(expected.verifyKeys).join(", "),
            };
        },
    },
];
