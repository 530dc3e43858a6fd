/** What the server says of itself: keys, versions, ways to log in. */
import { z } from "zod";
import type { Check } from "../../contract/index.ts";
import { unmade } from "../run/independentChecks.ts";
import { verifySignedJson } from "../synapse/secrets/signingKey.ts";
import { describeAnswer, type MatrixApi } from "../synapse/api/matrixApi.ts";

const keyAnswer = z.looseObject({
    server_name: z.string(),
    verify_keys: z.record(z.string(), z.object({ key: z.string() })),
});

/** `GET /_matrix/key/v2/server` (Matrix server-server API, "Retrieving server keys") against the keys the source signed with. */
export async function keyCheck(
    api: MatrixApi,
    serverName: string,
    verifyKeys: Readonly<Record<string, string>>,
): Promise<Check> {
    const id = "server-keys";
    const answer = await api.ask("/_matrix/key/v2/server");
    const parsed = keyAnswer.safeParse(answer.json);
    if (answer.status !== 200 || !parsed.success)
        return { id, state: "failed", evidence: `the key endpoint answered ${describeAnswer(answer)}` };
    const { server_name: name, verify_keys: found } = parsed.data;
    const problems: string[] = [];
    if (name !== serverName) problems.push(`the server calls itself ${name}`);
    for (const keyId of new Set([...Object.keys(verifyKeys), ...Object.keys(found)])) {
        if (found[keyId]?.key !== verifyKeys[keyId])
            problems.push(`${keyId} is ${found[keyId]?.key ?? "absent"}, not ${verifyKeys[keyId] ?? "absent"}`);
    }
    const unsigned = Object.entries(verifyKeys).filter(
        ([keyId, key]) => !verifySignedJson(parsed.data, serverName, keyId, key),
    );
    // Synapse signs the answer with its first key only.
    if (unsigned.length === Object.keys(verifyKeys).length)
        problems.push("the answer is not signed with a key of the source");
    return problems.length > 0
        ? { id, state: "failed", evidence: problems.join("; ") }
        : {
              id,
              state: "passed",
              evidence: `${Object.keys(found).join(", ")}: same public key, and the answer is signed with it`,
          };
}

export async function serverChecks(
    api: MatrixApi,
    serverName: string,
    verifyKeys: Readonly<Record<string, string>>,
): Promise<Check[]> {
    return [
        await keyCheck(api, serverName, verifyKeys).catch((error: unknown) => unmade("server-keys", error)),
        await answers(
            api,
            "client-versions",
            "/_matrix/client/versions",
            z.object({ versions: z.array(z.string()).min(1) }),
            ({ versions }) => versions.at(-1) ?? "",
        ),
        await answers(
            api,
            "federation-version",
            "/_matrix/federation/v1/version",
            z.object({ server: z.object({ name: z.string(), version: z.string() }) }),
            ({ server }) => `${server.name} ${server.version}`,
        ),
        await answers(
            api,
            "login-flows",
            "/_matrix/client/v3/login",
            z.object({ flows: z.array(z.object({ type: z.string() })).min(1) }),
            ({ flows }) => flows.map(({ type }) => type).join(", "),
        ),
    ];
}

async function answers<T>(
    api: MatrixApi,
    id: string,
    path: string,
    shape: z.ZodType<T>,
    evidence: (body: T) => string,
): Promise<Check> {
    try {
        const answer = await api.ask(path);
        const parsed = shape.safeParse(answer.json);
        if (answer.status !== 200 || !parsed.success)
            return { id, state: "failed", evidence: `${path} answered ${describeAnswer(answer)}` };
        return { id, state: "passed", evidence: evidence(parsed.data) };
    } catch (error) {
        return unmade(id, error);
    }
}
