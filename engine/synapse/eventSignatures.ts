/** Verifies events that the source signed, with Synapse's own code: redaction rules differ from room version to room version. */
import { z } from "zod";
import { runProgram } from "../machines/program.ts";

export interface SignedEvent {
    /** `event_json.json`. */
    readonly json: string;
    /** `rooms.room_version`. */
    readonly roomVersion: string;
}

const verdicts = z.array(
    z.object({
        /** Ids of the server's keys that signed the event. */
        keyIds: z.array(z.string()),
        /** Those of them whose signature is right. */
        verified: z.array(z.string()),
        /** Why the event could not be judged. */
        problem: z.string().nullable(),
    }),
);
export type SignatureVerdict = z.infer<typeof verdicts>[number];

const program = `
import json, sys
from signedjson.key import decode_verify_key_bytes
from signedjson.sign import verify_signed_json
from unpaddedbase64 import decode_base64
from synapse.api.room_versions import KNOWN_ROOM_VERSIONS
from synapse.events import make_event_from_dict
from synapse.events.utils import prune_event

given = json.load(sys.stdin)
answers = []
for event in given["events"]:
    answer = {"keyIds": [], "verified": [], "problem": None}
    try:
        content = json.loads(event["json"])
        answer["keyIds"] = sorted(content.get("signatures", {}).get(given["serverName"], {}))
        version = KNOWN_ROOM_VERSIONS.get(event["roomVersion"])
        if version is None:
            raise ValueError("unknown room version " + event["roomVersion"])
        pruned = prune_event(make_event_from_dict(content, version)).get_pdu_json()
        for key_id in answer["keyIds"]:
            if key_id in given["verifyKeys"]:
                key = decode_verify_key_bytes(key_id, decode_base64(given["verifyKeys"][key_id]))
                try:
                    verify_signed_json({**pruned, "signatures": content["signatures"]}, given["serverName"], key)
                    answer["verified"].append(key_id)
                except Exception:
                    pass
    except Exception as error:
        answer["problem"] = type(error).__name__ + ": " + str(error)[:200]
    answers.append(answer)
print(json.dumps(answers))
`;

/**
 * Checks the signatures of events against public keys.
 *
 * @param verifyKeys  `{"ed25519:a_AbCd": "<unpadded base64>"}`
 * @throws MigrationError SM-E1101 when the environment's Synapse cannot be run
 */
export async function verifyEventSignatures(
    python: string,
    serverName: string,
    verifyKeys: Readonly<Record<string, string>>,
    events: readonly SignedEvent[],
): Promise<SignatureVerdict[]> {
    const { stdout } = await runProgram(python, ["-c", program], {
        input: JSON.stringify({ serverName, verifyKeys, events }),
        timeoutSeconds: 120,
    });
    return verdicts.parse(JSON.parse(stdout));
}
