/** Opens a page in a real Chromium without network, and tells what it shows, asks for and complains about. */
import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable, Writable } from "node:stream";
import { pathToFileURL } from "node:url";
import { z } from "zod";
import { ensureToolchain } from "../../../toolchain/toolchain.ts";

const flags = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-pipe",
];
const answerSeconds = 30;

const message = z.object({
    id: z.number().optional(),
    method: z.string().optional(),
    params: z.record(z.string(), z.unknown()).optional(),
    result: z.record(z.string(), z.unknown()).optional(),
    error: z.object({ message: z.string() }).optional(),
});

export interface Page {
    /** Addresses that the page asked for, its own included. */
    readonly requests: string[];
    /** Console messages, broken policies and uncaught errors. */
    readonly complaints: string[];
    evaluate(expression: string): Promise<unknown>;
    /** One call of the DevTools protocol. */
    call(method: string, params?: object): Promise<Record<string, unknown>>;
}

/** Opens the file, lets the work look at it, and ends the browser whatever happens. */
export async function withPage<T>(file: string, work: (page: Page) => Promise<T>): Promise<T> {
    const program = await chromium();
    const profile = await mkdtemp(join(tmpdir(), "report-browser-"));
    const child = spawn(program, [...flags, `--user-data-dir=${profile}`, "about:blank"], {
        stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"],
    });
    const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
    try {
        const [, , , commands, events] = child.stdio;
        const connection = connect(commands as Writable, events as Readable);
        const { targetInfos } = z
            .object({ targetInfos: z.array(z.object({ targetId: z.string(), type: z.string() })) })
            .parse(await connection.call("Target.getTargets"));
        const targetId = targetInfos.find(({ type }) => type === "page")?.targetId;
        const { sessionId } = z
            .object({ sessionId: z.string() })
            .parse(await connection.call("Target.attachToTarget", { targetId, flatten: true }));
        return await work(await openPage(connection, sessionId, pathToFileURL(file).href));
    } finally {
        child.kill("SIGKILL");
        await ended;
        await rm(profile, { recursive: true, force: true, maxRetries: 5 });
    }
}

/** @throws when there is none and it cannot be set up here: a missing browser is not a passed test */
async function chromium(): Promise<string> {
    const toolchain = await ensureToolchain({ chromium: true }, console.error);
    if (toolchain.chromium === undefined) throw new Error("the toolchain has no chromium: apt-get install chromium");
    return toolchain.chromium.program;
}

interface Connection {
    call(method: string, params?: object, sessionId?: string): Promise<Record<string, unknown>>;
    on(listener: (method: string, params: Record<string, unknown>) => void): void;
}

/** The DevTools protocol over a pair of pipes: JSON messages that end in a zero byte. */
function connect(commands: Writable, events: Readable): Connection {
    const waiting = new Map<number, (answer: z.infer<typeof message>) => void>();
    const listeners: ((method: string, params: Record<string, unknown>) => void)[] = [];
    let last = 0;
    let rest = "";
    events.setEncoding("utf8").on("data", (chunk: string) => {
        const parts = (rest + chunk).split("\0");
        rest = parts.pop() ?? "";
        for (const part of parts) {
            const received = message.parse(JSON.parse(part));
            if (received.id !== undefined) waiting.get(received.id)?.(received);
            else if (received.method !== undefined)
                for (const listener of listeners) listener(received.method, received.params ?? {});
        }
    });
    return {
        on: (listener) => listeners.push(listener),
        call: (method, params = {}, sessionId) =>
            new Promise((resolve, reject) => {
                const id = (last += 1);
                const timer = setTimeout(
                    () => reject(new Error(`chromium did not answer ${method} within ${answerSeconds} s`)),
                    answerSeconds * 1000,
                );
                waiting.set(id, ({ result, error }) => {
                    clearTimeout(timer);
                    waiting.delete(id);
                    if (error === undefined) resolve(result ?? {});
                    else reject(new Error(`${method}: ${error.message}`));
                });
                commands.write(
                    `${JSON.stringify({ id, method, params, ...(sessionId === undefined ? {} : { sessionId }) })}\0`,
                );
            }),
    };
}

async function openPage(connection: Connection, sessionId: string, url: string): Promise<Page> {
    const call = (method: string, params: object = {}) => connection.call(method, params, sessionId);
    const requests: string[] = [];
    const complaints: string[] = [];
    const loaded = new Promise<void>((resolve) => {
        connection.on((method, params) => {
            if (method === "Page.loadEventFired") resolve();
            if (method === "Network.requestWillBeSent")
                requests.push(z.object({ url: z.string() }).parse(params["request"]).url);
            if (["Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown"].includes(method))
                complaints.push(JSON.stringify(params));
        });
    });
    for (const domain of ["Network", "Log", "Runtime", "Page", "Accessibility"]) await call(`${domain}.enable`);
    await call("Page.navigate", { url });
    await loaded;
    const evaluate = async (expression: string): Promise<unknown> => {
        const answer = await call("Runtime.evaluate", { expression, returnByValue: true });
        return z.object({ result: z.object({ value: z.unknown().optional() }) }).parse(answer).result.value;
    };
    return { requests, complaints, evaluate, call };
}
