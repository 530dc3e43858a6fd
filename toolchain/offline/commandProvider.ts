/**
 * A stand-in for the official resource plugin `command` 1.2.1, for machines on which that one cannot be had. It is never used
 * where the official one is installed or can be downloaded.
 *
 * It knows `command:local:Command` and the invoke `command:local:run`. Not covered: `command:remote:*`, assets and archives. It
 * differs in one point on purpose: a logged line of 64 KiB fails the command instead of hanging it.
 * `test/toolchain/commandPlugin.test.ts` states the behaviour of both.
 */
import { randomBytes } from "node:crypto";
import * as grpc from "@grpc/grpc-js";
import empty from "google-protobuf/google/protobuf/empty_pb.js";
import struct from "google-protobuf/google/protobuf/struct_pb.js";
import engineServices from "@pulumi/pulumi/proto/engine_grpc_pb.js";
import engine from "@pulumi/pulumi/proto/engine_pb.js";
import pluginMessages from "@pulumi/pulumi/proto/plugin_pb.js";
import providerServices from "@pulumi/pulumi/proto/provider_grpc_pb.js";
import provider from "@pulumi/pulumi/proto/provider_pb.js";
import { diffCommand } from "./commandDiff.ts";
import { commandInputs, commandState, problemsOf, runInputs, type ProcessInputs } from "./commandInputs.ts";
import { runCommandProcess, type CommandOutput, type FinishedCommand } from "./commandProcess.ts";
import { answering, channelOptions, engineAddress, servePlugin } from "./pluginServer.ts";
import { plain, unknownValue, wire, type Message } from "./propertyValues.ts";

const version = "1.2.1";
const logSeconds = 30;
const resourceType = "command:local:Command";
const runToken = "command:local:run";

const address = engineAddress(process.argv.slice(2));
const engineClient =
    address === undefined
        ? undefined
        : new engineServices.EngineClient(address, grpc.credentials.createInsecure(), channelOptions);
const cancellation = new AbortController();
let running = 0;

/**
 * Shows a line as the resource's status, as the official plugin does: the next line takes its place, and none is left among the diagnostics
 * at the end. A line that the engine cannot take is lost, the command goes on.
 */
function logTo(urn: string): (line: string) => Promise<void> {
    return (line) =>
        new Promise((resolve) => {
            const request = new engine.LogRequest();
            request.setSeverity(engine.LogSeverity.INFO);
            request.setMessage(line);
            request.setUrn(urn);
            request.setEphemeral(true);
            if (engineClient === undefined) resolve();
            else
                engineClient.log(request, new grpc.Metadata(), { deadline: Date.now() + logSeconds * 1000 }, () =>
                    resolve(),
                );
        });
}

interface Execution {
    readonly command: string;
    readonly inputs: ProcessInputs;
    readonly previous?: CommandOutput;
    readonly urn: string;
    /** Seconds; 0 is no limit. */
    readonly timeoutSeconds: number;
    readonly signal: AbortSignal;
}

async function execute({
    command,
    inputs,
    previous,
    urn,
    timeoutSeconds,
    signal,
}: Execution): Promise<FinishedCommand> {
    const logging = inputs.logging ?? "stdoutAndStderr";
    const signals = [cancellation.signal, signal];
    if (timeoutSeconds > 0) signals.push(AbortSignal.timeout(timeoutSeconds * 1000));
    running++;
    try {
        return await runCommandProcess({
            interpreter: interpreterOf(inputs),
            command,
            workingDirectory: inputs.dir,
            environment: { ...inputs.environment, ...previousOutput(inputs, previous) },
            stdin: inputs.stdin,
            logged: {
                stdout: logging === "stdout" || logging === "stdoutAndStderr",
                stderr: logging === "stderr" || logging === "stdoutAndStderr",
            },
            log: logTo(urn),
            signal: AbortSignal.any(signals),
        });
    } finally {
        running--;
    }
}

function interpreterOf({ interpreter }: ProcessInputs): [string, ...string[]] {
    const [program, ...args] = interpreter ?? [];
    return program === undefined ? ["/bin/sh", "-c"] : [program, ...args];
}

function previousOutput(inputs: ProcessInputs, previous?: CommandOutput): Record<string, string> {
    if (previous === undefined || inputs.addPreviousOutputInEnv === false) return {};
    return {
        ...(previous.stdout === "" ? {} : { PULUMI_COMMAND_STDOUT: previous.stdout }),
        ...(previous.stderr === "" ? {} : { PULUMI_COMMAND_STDERR: previous.stderr }),
    };
}

/** What a message with bytes that are no text comes to. The command has run by then, and what it did is not recorded. */
function refuseOtherThanUtf8({ isUtf8 }: FinishedCommand): void {
    if (!isUtf8) throw new Error("grpc: error while marshaling: string field contains invalid UTF-8");
}

/** The inputs as they came, secrets still wrapped at their own paths, and the outputs in the open. */
function stateOf(inputs: Message, outputs: CommandOutput): InstanceType<typeof struct.Struct> {
    return struct.Struct.fromJavaScript({ ...wire(inputs), stdout: outputs.stdout, stderr: outputs.stderr });
}

const notYetKnown: CommandOutput = { stdout: unknownValue, stderr: unknownValue };

function refuseOtherTypes(type: string): void {
    if (type === resourceType) return;
    throw new Error(`the stand-in for the command plugin knows only ${resourceType} and ${runToken}, not ${type}`);
}

const typeOf = (urn: string): string => urn.split("::")[2]?.split("$").at(-1) ?? "";

function check(request: InstanceType<typeof provider.CheckRequest>): InstanceType<typeof provider.CheckResponse> {
    refuseOtherTypes(typeOf(request.getUrn()));
    const response = new provider.CheckResponse();
    response.setInputs(request.getNews());
    response.setFailuresList(
        problemsOf(plain(request.getNews())).map(({ property, reason }) => {
            const failure = new provider.CheckFailure();
            failure.setProperty(property);
            failure.setReason(reason);
            return failure;
        }),
    );
    return response;
}

async function create(
    request: InstanceType<typeof provider.CreateRequest>,
    signal: AbortSignal,
): Promise<InstanceType<typeof provider.CreateResponse>> {
    const response = new provider.CreateResponse();
    if (request.getPreview()) {
        response.setProperties(stateOf(request.getProperties(), notYetKnown));
        return response;
    }
    const inputs = commandInputs.parse(plain(request.getProperties()));
    const outputs =
        inputs.create === undefined
            ? { stdout: "", stderr: "", isUtf8: true }
            : await execute({
                  command: inputs.create,
                  inputs,
                  urn: request.getUrn(),
                  timeoutSeconds: request.getTimeout(),
                  signal,
              });
    refuseOtherThanUtf8(outputs);
    response.setId(`${request.getName()}${randomBytes(4).toString("hex")}`);
    response.setProperties(stateOf(request.getProperties(), outputs));
    return response;
}

async function update(
    request: InstanceType<typeof provider.UpdateRequest>,
    signal: AbortSignal,
): Promise<InstanceType<typeof provider.UpdateResponse>> {
    const response = new provider.UpdateResponse();
    if (request.getPreview()) {
        response.setProperties(stateOf(request.getNews(), notYetKnown));
        return response;
    }
    const inputs = commandInputs.parse(plain(request.getNews()));
    const { stdout, stderr } = commandState.parse(plain(request.getOlds()));
    const command = inputs.update ?? inputs.create;
    const outputs =
        command === undefined
            ? { stdout, stderr, isUtf8: true }
            : await execute({
                  command,
                  inputs,
                  previous: { stdout, stderr },
                  urn: request.getUrn(),
                  timeoutSeconds: request.getTimeout(),
                  signal,
              });
    refuseOtherThanUtf8(outputs);
    response.setProperties(stateOf(request.getNews(), outputs));
    return response;
}

async function remove(
    request: InstanceType<typeof provider.DeleteRequest>,
    signal: AbortSignal,
): Promise<InstanceType<typeof empty.Empty>> {
    const { stdout, stderr, ...inputs } = commandState.parse(plain(request.getProperties()));
    if (inputs.delete !== undefined) {
        await execute({
            command: inputs.delete,
            inputs,
            previous: { stdout, stderr },
            urn: request.getUrn(),
            timeoutSeconds: request.getTimeout(),
            signal,
        });
    }
    return new empty.Empty();
}

function read(request: InstanceType<typeof provider.ReadRequest>): InstanceType<typeof provider.ReadResponse> {
    const response = new provider.ReadResponse();
    response.setId(request.getId());
    response.setProperties(request.getProperties());
    response.setInputs(request.getInputs());
    return response;
}

async function invoke(
    request: InstanceType<typeof provider.InvokeRequest>,
    signal: AbortSignal,
): Promise<InstanceType<typeof provider.InvokeResponse>> {
    if (request.getTok() !== runToken) refuseOtherTypes(request.getTok());
    const inputs = runInputs.parse(plain(request.getArgs()));
    const outputs = await execute({ command: inputs.command, inputs, urn: "", timeoutSeconds: 0, signal });
    refuseOtherThanUtf8(outputs);
    const response = new provider.InvokeResponse();
    response.setReturn(stateOf(request.getArgs(), outputs));
    return response;
}

await servePlugin({
    title: `pulumi-resource-command: stand-in of synapse-migration for the official plugin command ${version}`,
    definition: providerServices.ResourceProviderService,
    handlers: {
        handshake: answering(() => {
            const response = new provider.ProviderHandshakeResponse();
            response.setAcceptSecrets(true);
            return response;
        }),
        getPluginInfo: answering(() => {
            const response = new pluginMessages.PluginInfo();
            response.setVersion(version);
            return response;
        }),
        getSchema: answering(() => {
            const response = new provider.GetSchemaResponse();
            response.setSchema(JSON.stringify({ name: "command", version }));
            return response;
        }),
        checkConfig: answering((request: InstanceType<typeof provider.CheckRequest>) => {
            const response = new provider.CheckResponse();
            response.setInputs(request.getNews());
            return response;
        }),
        diffConfig: answering(() => new provider.DiffResponse()),
        configure: answering(() => {
            const response = new provider.ConfigureResponse();
            response.setAcceptsecrets(true);
            response.setSupportspreview(true);
            return response;
        }),
        check: answering(check),
        diff: answering(diffCommand),
        create: answering(create),
        update: answering(update),
        delete: answering(remove),
        read: answering(read),
        invoke: answering(invoke),
        attach: answering(() => new empty.Empty()),
        cancel: answering(() => {
            cancellation.abort();
            return new empty.Empty();
        }),
    },
    busy: () => running > 0,
});
