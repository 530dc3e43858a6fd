/** The gateway's directory: what tells it to be open or closed, and where it listens. */
import { join } from "node:path";
import { z } from "zod";
import { port } from "../../contract/index.ts";
import type { ServiceUser } from "../machines/serviceUser.ts";
import { writePrivateFile } from "../run/atomicFile.ts";
import { parseJson } from "../run/parseJson.ts";
import { readTrusted } from "../run/trustedFile.ts";

const gatewayState = z.strictObject({
    state: z.enum(["closed", "open"]),
    /** The run that said so. */
    run: z.string(),
});
export type GatewayState = z.infer<typeof gatewayState>;

/** What the gateway's process is started with. */
const gatewayConfig = z.strictObject({
    /** The run that owns the gateway. */
    run: z.string(),
    listener: z.strictObject({ bindAddress: z.string(), port }),
    upstream: z.url(),
    /** What serves media where that is not the homeserver. */
    mediaUpstream: z.url().optional(),
    retryAfterSeconds: z.number().int(),
    /** Whom it becomes once it listens. */
    user: z.strictObject({ uid: z.number().int(), gid: z.number().int() }).optional(),
});
export type GatewayConfig = z.infer<typeof gatewayConfig>;

const listening = z.strictObject({ port });

export const gatewayFiles = (directory: string) => ({
    config: join(directory, "gateway.json"),
    state: join(directory, "state.json"),
    /** Written by the gateway once it listens. */
    listening: join(directory, "listening.json"),
    pid: join(directory, "gateway.pid"),
    log: join(directory, "gateway.log"),
});

/**
 * Undefined when there is none, or none that can be trusted: then the gateway is closed.
 *
 * @param user  whom the gateway runs as: an earlier version gave the file to that user
 */
export async function readGatewayState(file: string, user?: ServiceUser): Promise<GatewayState | undefined> {
    return parsed(gatewayState, file, user);
}

/** @param user  whom the gateway runs as, who may read it and not write it */
export async function writeGatewayState(
    file: string,
    state: GatewayState,
    user: ServiceUser | undefined,
): Promise<void> {
    const readable = user === undefined ? {} : { owner: { uid: process.geteuid?.() ?? 0, gid: user.gid }, mode: 0o640 };
    await writePrivateFile(file, `${JSON.stringify(gatewayState.parse(state))}\n`, readable);
}

export async function readGatewayConfig(file: string): Promise<GatewayConfig | undefined> {
    return parsed(gatewayConfig, file);
}

export async function writeGatewayConfig(file: string, config: GatewayConfig): Promise<void> {
    await writePrivateFile(file, `${JSON.stringify(gatewayConfig.parse(config), null, 1)}\n`);
}

export async function readListeningPort(file: string): Promise<number | undefined> {
    return (await parsed(listening, file))?.port;
}

export async function writeListeningPort(file: string, listeningPort: number): Promise<void> {
    await writePrivateFile(file, `${JSON.stringify({ port: listeningPort })}\n`);
}

async function parsed<T>(shape: z.ZodType<T>, file: string, user?: ServiceUser): Promise<T | undefined> {
    const text = await readTrusted(file, user === undefined ? [] : [user.uid]).catch(() => undefined);
    return text === undefined ? undefined : shape.safeParse(parseJson(text)).data;
}
