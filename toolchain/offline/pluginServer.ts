/** Serves a Pulumi plugin over gRPC on loopback, and ends with the engine that started it. */
import * as grpc from "@grpc/grpc-js";

/** The engine's own limit per message (sdk/go/common/util/rpcutil/serve.go). */
const largestMessage = 400 * 1024 * 1024;
export const channelOptions: grpc.ChannelOptions = {
    "grpc.max_receive_message_length": largestMessage,
    "grpc.max_send_message_length": largestMessage,
};

const parentCheckMilliseconds = 1000;
/** After this long without an engine a plugin gives up on work that is still running. */
const longestOrphanMilliseconds = 5 * 60_000;

export interface PluginServer<Handlers extends grpc.UntypedServiceImplementation> {
    /** Printed for `--version`: what this stands in for. */
    readonly title: string;
    readonly definition: grpc.ServiceDefinition;
    readonly handlers: Handlers;
    /** Whether work is running that should be let finish when the engine has gone. */
    readonly busy: () => boolean;
}

/**
 * Where the engine listens: the last argument that is no flag, as the engine starts every plugin.
 *
 * @returns `host:port`, or undefined when a person started the plugin
 */
export function engineAddress(args: readonly string[]): string | undefined {
    return args.filter((argument) => !argument.startsWith("-")).at(-1);
}

/**
 * Starts serving and prints the port as the first line of standard output, which is what the engine waits for.
 *
 * The process ends at SIGINT or SIGTERM (how the engine closes its plugins) and, when the engine was killed, by itself.
 */
export async function servePlugin<Handlers extends grpc.UntypedServiceImplementation>(
    plugin: PluginServer<Handlers>,
): Promise<void> {
    if (process.argv.includes("--version")) {
        process.stdout.write(`${plugin.title}\n`);
        return;
    }
    const server = new grpc.Server(channelOptions);
    server.addService(plugin.definition, plugin.handlers);
    const port = await new Promise<number>((resolve, reject) => {
        server.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (error, bound) => {
            if (error === null) resolve(bound);
            else reject(error);
        });
    });
    for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(0));
    endWithParent(plugin.busy);
    process.stdout.write(`${port}\n`);
}

function endWithParent(busy: () => boolean): void {
    const parent = process.ppid;
    let alone: number | undefined;
    setInterval(() => {
        if (process.ppid === parent) return;
        alone ??= Date.now();
        if (!busy() || Date.now() - alone > longestOrphanMilliseconds) process.exit(0);
    }, parentCheckMilliseconds).unref();
}

/**
 * Makes a gRPC handler of an ordinary function. An error becomes status UNKNOWN with the error's message, which the engine prints.
 *
 * @param work  its signal is aborted when the call is cancelled or its connection is lost
 */
export function answering<Request, Response>(
    work: (request: Request, signal: AbortSignal) => Response | Promise<Response>,
): grpc.handleUnaryCall<Request, Response> {
    return (call, callback) => {
        const cancellation = new AbortController();
        call.on("cancelled", () => cancellation.abort());
        void (async () => {
            let response: Response;
            try {
                response = await work(call.request, cancellation.signal);
            } catch (error) {
                const message = error instanceof Error ? error.message : String(error);
                callback({ code: grpc.status.UNKNOWN, message });
                return;
            }
            callback(null, response);
        })();
    };
}
