/** The gateway's directory: what tells it to be open or closed, and where it listens. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { port } from "../../contract/index.ts";
import { writePrivateFile, type PrivateFileOptions } from "../run/atomicFile.ts";

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

/** Undefined when there is none, or none that can be trusted: then the gateway is closed. */
export async function readGatewayState(file: string): Promise<GatewayState | undefined> {
    return parsed(gatewayState, file);
}

export async function writeGatewayState(file: string, state: GatewayState, options: PrivateFileOptions): Promise<void> {
    await writePrivateFile(file, `${JSON.stringify(gatewayState.parse(state))}\n`, options);
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

async function parsed<T>(shape: z.ZodType<T>, file: string): Promise<T | undefined> {
    try {
        return shape.parse(JSON.parse(await readFile(file, "utf8")));
    } catch {
        return undefined;
    }
}
