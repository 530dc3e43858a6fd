/** Checks that the source is the server it is said to be, and that the given secrets are its own. */
import { dirname } from "node:path";
import { z } from "zod";
import type { Finding } from "../../contract/index.ts";
import { query, queryOne, type Client } from "../postgres/connection.ts";
import { verifyEventSignatures } from "../synapse/eventSignatures.ts";
import { parseSigningKeys, verifyKeysOf } from "../synapse/secrets/signingKey.ts";
import { recordInDatabase } from "../fence/database/recordInDatabase.ts";
import { describeSourceRecord, fenceInTheWay } from "../fence/sourceRecord.ts";
import { finding } from "../run/finding.ts";
import type { AssessmentCheck, AssessmentContext, SourceCheck } from "./check.ts";
import { oldSigningKeyFindings } from "./oldSigningKeys.ts";

const eventsVerified = 5;
const usersShown = 3;

/** What the configuration and the stack tell, without a row. */
export const configuredIdentityChecks: readonly SourceCheck[] = [
    {
        id: "server-name",
        cost: "cheap",
        run({ spec, config }) {
            const same = spec.source.serverName === config.serverName;
            return Promise.resolve(
                same
                    ? []
                    : [
                          finding(
                              "SM-E0801",
                              `the stack says ${spec.source.serverName}, the source's configuration ${config.serverName}`,
                          ),
                      ],
            );
        },
    },
    {
        id: "given-signing-key",
        cost: "cheap",
        run({ spec, secrets }) {
            const verifyKeys = verifyKeysOf(secrets.signingKeys);
            if (spec.signingKey === undefined) return Promise.resolve([]);
            const given = verifyKeysOf(parseSigningKeys(spec.signingKey, "config signingKey"));
            const same =
                JSON.stringify(Object.entries(given).sort()) === JSON.stringify(Object.entries(verifyKeys).sort());
            const names = (keys: Readonly<Record<string, string>>): string =>
                Object.entries(keys)
                    .map(([id, key]) => `${id} ${key}`)
                    .join(", ");
            return Promise.resolve(
                same
                    ? []
                    : [
                          finding(
                              "SM-E0818",
                              `the stack has ${names(given)}; the source signs with ${names(verifyKeys)}`,
                          ),
                      ],
            );
        },
    },
    {
        id: "old-signing-keys",
        cost: "cheap",
        run: ({ config, secrets }) =>
            Promise.resolve(oldSigningKeyFindings(config.oldSigningKeys, secrets.signingKeys)),
    },
    {
        id: "given-macaroon-secret",
        cost: "cheap",
        run({ spec, secrets }) {
            const { value, origin } = secrets.macaroon;
            if (spec.macaroonSecretKey === undefined || spec.macaroonSecretKey === value) return Promise.resolve([]);
            return Promise.resolve([
                finding(
                    "SM-E0830",
                    `the stack's secret is not the one in force on the source, which comes from its ${origin}`,
                ),
            ]);
        },
    },
];

export const identityChecks: readonly AssessmentCheck[] = [
    ...configuredIdentityChecks,
    {
        id: "source-owner",
        cost: "cheap",
        run: ({ spec, client }) => fencedByAnother(spec, client),
    },
    {
        id: "users-of-this-server",
        cost: "thorough",
        run: ({ client, config }) => foreignUsers(client, config.serverName),
    },
    {
        id: "given-pepper",
        cost: "cheap",
        async run({ spec, secrets, client }) {
            if (spec.pepper !== undefined && spec.pepper !== (secrets.pepper ?? ""))
                return [finding("SM-E0820", "the stack's pepper is not the source's")];
            if (spec.pepper !== undefined || secrets.pepper === undefined || spec.signingKey === undefined) return [];
            const { hashes } = await queryOne(
                client,
                z.object({ hashes: z.boolean() }),
                "SELECT EXISTS (SELECT 1 FROM public.users WHERE password_hash IS NOT NULL) AS hashes",
            );
            return hashes
                ? [finding("SM-E0820", "the stack has no pepper, the source has one, and users have passwords")]
                : [];
        },
    },
    {
        id: "signing-key-signed-events",
        cost: "thorough",
        run: ({ spec, config, client, secrets }) =>
            newestEvents(client, {
                serverName: config.serverName,
                targetPython: spec.targetPython,
                verifyKeys: verifyKeysOf(secrets.signingKeys),
            }),
    },
];

/** SM-E0802 for each other domain that users of the database have. */
export async function foreignUsers(client: Client, serverName: string): Promise<Finding[]> {
    const foreign = await query(
        client,
        z.object({ domain: z.string(), users: z.coerce.number(), samples: z.array(z.string()) }),
        `SELECT substring(name FROM position(':' IN name) + 1) AS domain, count(*)::text AS users, (array_agg(name ORDER BY name))[1:${usersShown}] AS samples
         FROM public.users WHERE name NOT LIKE '%:' || replace(replace(replace($1::text, '\\', '\\\\'), '%', '\\%'), '_', '\\_')
         GROUP BY 1 ORDER BY count(*) DESC`,
        [serverName],
    );
    return foreign.map(({ domain, users, samples }) =>
        finding(
            "SM-E0802",
            `${users} users of ${domain}, for example ${samples.join(", ")}; the server is ${serverName}`,
        ),
    );
}

/** SM-E0817 unless one of the keys verifies the newest events that the server itself has sent. */
export async function newestEvents(
    client: Client,
    {
        serverName,
        targetPython,
        verifyKeys,
    }: {
        readonly serverName: string;
        readonly targetPython: string;
        readonly verifyKeys: Readonly<Record<string, string>>;
    },
): Promise<Finding[]> {
    const events = await query(
        client,
        z.object({ eventId: z.string(), json: z.string(), roomVersion: z.string() }),
        `SELECT e.event_id AS "eventId", j.json, coalesce(r.room_version, '1') AS "roomVersion"
         FROM (SELECT event_id, room_id, stream_ordering FROM public.events
               WHERE sender LIKE '%:' || $1 AND stream_ordering > 0 AND NOT outlier ORDER BY stream_ordering DESC LIMIT ${eventsVerified}) e
         JOIN public.event_json j USING (event_id) LEFT JOIN public.rooms r ON r.room_id = e.room_id ORDER BY e.stream_ordering DESC`,
        [serverName],
    );
    if (events.length === 0) return [finding("SM-W0817", "the server has not sent an event yet")];
    const verdicts = await verifyEventSignatures(targetPython, serverName, verifyKeys, events);
    const [newest, judged] = [events[0], verdicts[0]];
    if (newest === undefined || judged === undefined) return [];
    if (judged.problem !== null) return [finding("SM-W0817", `${newest.eventId}: ${judged.problem}`)];
    return judged.verified.length > 0
        ? []
        : [
              finding(
                  "SM-E0817",
                  `the newest event ${newest.eventId} is signed with ${judged.keyIds.join(", ") || "no key"}, which ${Object.keys(verifyKeys).join(", ")} does not verify`,
              ),
          ];
}

/** A rehearsal stops nothing, and is kept from the network: whoever has fenced the source is not met by it. */
async function fencedByAnother(spec: AssessmentContext["spec"], client: Client): Promise<Finding[]> {
    if (spec.rehearsal === true) return [];
    const runsDirectory = spec.run.id === undefined ? spec.run.directory : dirname(spec.run.directory);
    const record = await fenceInTheWay(recordInDatabase(client), runsDirectory);
    return record === undefined ? [] : [finding("SM-E0741", describeSourceRecord(record))];
}
