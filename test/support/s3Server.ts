/** A real server that speaks S3, for tests: its own port, its own directory, its own users; dies with this process. */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CreateBucketCommand, PutObjectCommand, S3Client } from "@aws-sdk/client-s3";
import { freePort } from "../../engine/machines/freePort.ts";
import { runProgram } from "../../engine/machines/program.ts";
import { until } from "../../engine/run/until.ts";
import type { BucketAddress } from "../../engine/synapse/config/mediaStorageProviders.ts";
import { ensureToolchain } from "../../toolchain/toolchain.ts";

const startSeconds = 30;
const credentials = { accessKeyId: "root-of-the-test", secretAccessKey: "Secret+of/the=tests9" };
/** Known to the server, and allowed nothing. */
const stranger = { accessKeyId: "nobody-in-particular", secretAccessKey: "Secret+of/nobody=in9" };

/** A server with no buckets. */
export interface TestS3 {
    readonly endpoint: string;
    readonly credentials: typeof credentials;
    readonly stranger: typeof stranger;
    /** Makes a bucket, and says how it is reached. */
    bucket(name: string, prefix?: string): Promise<BucketAddress>;
    /** Puts an object there by its full key. */
    put(bucket: string, key: string, content: string | Buffer): Promise<void>;
    /** The file behind an object: what is changed in it, the server notices as little as one with a broken disk. */
    file(bucket: string, key: string): string;
    stop(): Promise<void>;
}

export async function startTestS3(): Promise<TestS3> {
    process.env["AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED"] = "true";
    const { s3 } = await ensureToolchain({ s3: true }, () => undefined);
    if (s3 === undefined) throw new Error("the toolchain has no S3 server");
    const directory = await mkdtemp(join(tmpdir(), "synapse-migration-s3-"));
    const data = join(directory, "data");
    for (const name of ["data", "iam"]) await mkdir(join(directory, name));
    const port = await freePort();
    const endpoint = `http://127.0.0.1:${port}`;
    const options = ["--port", `127.0.0.1:${port}`, "--quiet", "--iam-dir", join(directory, "iam")];
    // Has the kernel end the server when this process is gone. The keys are this test's own and open nothing else.
    const server = spawn("setpriv", ["--pdeathsig", "KILL", "--", s3.program, ...options, "posix", data], {
        env: {
            PATH: process.env["PATH"],
            HOME: directory,
            ROOT_ACCESS_KEY: credentials.accessKeyId,
            ROOT_SECRET_KEY: credentials.secretAccessKey,
        },
        cwd: directory,
        stdio: ["ignore", "ignore", "pipe"],
    });
    let log = "";
    server.stderr.on("data", (chunk: Buffer) => (log += chunk.toString()));
    const client = new S3Client({ endpoint, region: "us-east-1", forcePathStyle: true, credentials });
    const stop = async (): Promise<void> => {
        client.destroy();
        await ended(server);
        await rm(directory, { recursive: true, force: true });
    };
    try {
        await listening(port, server, () => log);
        const admin = ["--access", credentials.accessKeyId, "--secret", credentials.secretAccessKey];
        const user = ["--access", stranger.accessKeyId, "--secret", stranger.secretAccessKey, "--role", "user"];
        await runProgram(s3.program, ["admin", ...admin, "--endpoint-url", endpoint, "create-user", ...user], {
            timeoutSeconds: startSeconds,
        });
    } catch (error) {
        await stop();
        throw error;
    }
    return {
        endpoint,
        credentials,
        stranger,
        bucket: async (bucket, prefix = "") => {
            await client.send(new CreateBucketCommand({ Bucket: bucket }));
            return { bucket, prefix, endpoint, region: "us-east-1", credentials };
        },
        put: async (bucket, key, content) => {
            await client.send(new PutObjectCommand({ Bucket: bucket, Key: key, Body: Buffer.from(content) }));
        },
        file: (bucket, key) => join(data, bucket, key),
        stop,
    };
}

async function listening(port: number, server: ChildProcess, log: () => string): Promise<void> {
    const down = (): Error => new Error(`versitygw did not start: ${log()}`);
    await until(
        async () => {
            if (server.exitCode !== null) throw down();
            const socket = connect(port, "127.0.0.1");
            const isUp = await once(socket, "connect").then(
                () => true,
                () => false,
            );
            socket.destroy();
            return isUp || undefined;
        },
        { seconds: startSeconds, everyMilliseconds: 25 },
        down,
    );
}

async function ended(server: ChildProcess): Promise<void> {
    if (server.exitCode !== null || server.signalCode !== null) return;
    const end = once(server, "exit");
    server.kill("SIGKILL");
    await end;
}
