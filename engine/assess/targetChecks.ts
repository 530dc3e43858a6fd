/** Checks of the target's PostgreSQL: can its server and its programs take what the source's server has? (B20) */
import { connect } from "node:net";
import { join } from "node:path";
import type { z } from "zod";
import type { assessContract, Finding } from "../../contract/index.ts";
import { programVersion } from "../postgres/server/clientPrograms.ts";
import { withClient, type Client, type DatabaseAddress } from "../postgres/connection.ts";
import { readPassword } from "../postgres/server/passwordFile.ts";
import { MigrationError } from "../run/errors.ts";
import type { ErrorCode } from "../run/errorCatalogue.ts";
import { finding } from "../run/finding.ts";
import type { AssessmentCheck } from "./check.ts";
import { serverVersion, type ServerVersion } from "./serverVersion.ts";

type TargetServer = NonNullable<z.infer<typeof assessContract.spec>["targetServer"]>;
type ExistingServer = Extract<TargetServer, { kind: "existing" }>;

/** A preview waits no longer for a server that may not be there. */
const answerSeconds = 3;
const statementSeconds = 1.5;

export const targetChecks: readonly AssessmentCheck[] = [
    {
        id: "target-database-server",
        cost: "cheap",
        async run({ spec: { targetServer, bundle, installed }, client }) {
            // The server that a bundle is restored to is the receiver's; that of an installed homeserver has a check of its own.
            if (bundle !== undefined || installed !== undefined) return [];
            if (targetServer === undefined) return "not-run";
            const source = await serverVersion(client);
            return olderTarget(source, targetServer);
        },
    },
    {
        id: "target-database-programs",
        cost: "cheap",
        async run({ spec: { targetServer, bundle }, client }) {
            const programs = targetServer?.programs ?? bundle?.programs;
            if (programs === undefined) return "not-run";
            const source = await serverVersion(client);
            const isPlain = bundle !== undefined && bundle.databaseFormat !== "directory";
            const needed = isPlain ? ["pg_dump"] : ["pg_dump", "pg_restore"];
            const found = needed.map((program) =>
                orFinding("SM-E0523", async () =>
                    olderProgram(source, await programVersion(programs, program), [programs, program]),
                ),
            );
            return (await Promise.all(found)).flat();
        },
    },
];

/** SM-E0503 when the target's server is older than the one that the data come from, SM-E0522 or SM-E0523 when it cannot be asked. */
export function olderTarget(source: ServerVersion, targetServer: TargetServer): Promise<Finding[]> {
    const [code, where] =
        targetServer.kind === "managed"
            ? (["SM-E0523", "a server of its own"] as const)
            : (["SM-E0522", `the server at ${targetServer.host}:${targetServer.port}`] as const);
    return orFinding(code, async () => olderServer(source, await targetVersion(targetServer), where));
}

/** @throws MigrationError where it cannot be asked */
export function targetVersion(targetServer: TargetServer): Promise<ServerVersion> {
    return targetServer.kind === "managed"
        ? programVersion(targetServer.programs, "postgres")
        : onTargetServer(targetServer, serverVersion);
}

/** Major versions: a minor one changes nothing that a dump has. */
export function olderServer(source: ServerVersion, target: ServerVersion, where: string): Finding[] {
    return target.major >= source.major
        ? []
        : [finding("SM-E0503", `${where} is PostgreSQL ${target.text}, the source's is ${source.text}`)];
}

function olderProgram(source: ServerVersion, program: ServerVersion, path: readonly [string, string]): Finding[] {
    return program.major >= source.major
        ? []
        : [finding("SM-E0504", `${join(...path)} is of ${program.text}, the source's server of ${source.text}`)];
}

/**
 * A short look at a server that is there already, as the role that makes databases.
 *
 * @throws MigrationError SM-E1102 within seconds when it does not answer, SM-E1003, SM-E1004
 */
export async function onTargetServer<T>(server: ExistingServer, work: (client: Client) => Promise<T>): Promise<T> {
    const { host, port, admin, adminPasswordFile } = server;
    // Every server has this database, and the role that makes databases may connect to it.
    const address = { host, port, name: "postgres", user: admin, password: await readPassword(adminPasswordFile) };
    await refuseSilent(address);
    return withClient(address, { step: "assess", readOnly: true, statementSeconds }, work);
}

/**
 * A host that swallows packets would hold up a preview for as long as a connection may take.
 *
 * @throws MigrationError SM-E1102
 */
async function refuseSilent({ host, port }: Pick<DatabaseAddress, "host" | "port">): Promise<void> {
    // As PostgreSQL's own programs read it: a host that is a path is the directory of a socket.
    const socket = connect(
        host.startsWith("/") ? { path: join(host, `.s.PGSQL.${port}`) } : { host, port, autoSelectFamily: true },
    );
    try {
        await new Promise<void>((resolve, reject) => {
            socket.once("connect", resolve).once("error", reject);
            socket.setTimeout(answerSeconds * 1000, () => {
                reject(new Error(`no answer within ${answerSeconds} s`));
            });
        });
    } catch (error) {
        const codes = error instanceof AggregateError ? error.errors : [error];
        const found = codes.map((each) => (each instanceof Error ? each.message : String(each))).join("; ");
        throw new MigrationError("SM-E1102", { where: `${host}:${port}`, found, cause: error });
    } finally {
        socket.destroy();
    }
}

/** What could not be found out blocks as much as a wrong version, and hides nothing else that the assessment finds. */
export async function orFinding(code: ErrorCode, work: () => Promise<Finding[]>): Promise<Finding[]> {
    try {
        return await work();
    } catch (error) {
        if (!(error instanceof MigrationError)) throw error;
        const { where, found, fix } = error.detail;
        return [finding(code, `${where}: ${found} (${error.code})`, fix)];
    }
}
