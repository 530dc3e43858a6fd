/** Declares resources without an engine and keeps what was asked for. The only file that uses internals of the SDK. */
import * as pulumi from "@pulumi/pulumi";
import type { RegisterResourceRequest } from "@pulumi/pulumi/proto/resource_pb.js";
import { z } from "zod";
import { stepOutput } from "./stepResults.ts";

/** One registration, as the engine would get it. */
export interface Registered {
    /** Logical name. */
    readonly name: string;
    readonly type: string;
    readonly urn: string;
    readonly parent: string;
    /** Of the plugin that is asked for. */
    readonly version: string;
    /** Names of the resources that it comes after: by `dependsOn` and by what it takes of them. */
    readonly dependencies: readonly string[];
    readonly protect: boolean | undefined;
    readonly secretOutputs: readonly string[];
    readonly replaceOnChanges: readonly string[];
    readonly ignoreChanges: readonly string[];
    readonly timeouts: { readonly create: string; readonly update: string; readonly delete: string } | undefined;
    /** As on the wire: secrets are wrapped, unknown values are a marker. */
    readonly inputs: Readonly<Record<string, unknown>>;
}

/** Marks a secret on the wire. */
const secretSignature = "1b47061264138c4ac30d75fd1eb44270";
const signatureKey = "4dabf18193072939515e22adb298388d";
const secretOnWire = z.object({ [signatureKey]: z.literal(secretSignature), value: z.unknown() });

/** The value inside of a wrapped secret; undefined when it is not wrapped. */
export function unwrappedSecret(value: unknown): unknown {
    return secretOnWire.safeParse(value).data?.value;
}

/** How the SDK calls it; its public type has three more ways. */
type RegisterResource = (
    request: RegisterResourceRequest,
    callback: (error: unknown, response: { getUrn(): string }) => void,
) => unknown;

export interface RecorderOptions {
    /** Nothing is known of resources that do not exist yet, as in a preview. */
    readonly preview?: boolean;
    /** Replaces what a step prints. */
    readonly outputs?: Readonly<Record<string, string>>;
    /** Asked by `command.local.run`. Throws to fail. */
    readonly run?: (inputs: Readonly<Record<string, unknown>>) => { stdout: string };
}

/** Everything that was registered while the program ran, components and the stack left out where `commands` is asked. */
export class Recording {
    public readonly all: readonly Registered[];
    constructor(all: readonly Registered[]) {
        this.all = all;
    }

    public get commands(): readonly Registered[] {
        return this.all.filter(({ type }) => type === "command:local:Command");
    }

    public get names(): string[] {
        return this.commands.map(({ name }) => name);
    }

    public command(name: string): Registered {
        const found = this.commands.find((command) => command.name === name);
        if (found === undefined) throw new Error(`no command ${name} among ${this.names.join(", ")}`);
        return found;
    }

    /** The specification on a step's standard input; only what is known. */
    public spec(name: string): unknown {
        return JSON.parse(z.string().parse(unwrappedSecret(this.command(name).inputs["stdin"])));
    }

    /** Everything the command comes after, however far back. */
    public before(name: string): ReadonlySet<string> {
        const found = new Set<string>();
        const visit = (next: string): void => {
            for (const dependency of this.command(next).dependencies) {
                if (found.has(dependency)) continue;
                found.add(dependency);
                visit(dependency);
            }
        };
        visit(name);
        return found;
    }
}

/**
 * Runs a program that declares resources, and waits until all of them are registered.
 *
 * @returns what it declared, and what it returned, once every output in it is settled
 */
export async function record<T>(
    program: () => T | Promise<T>,
    options: RecorderOptions = {},
): Promise<{ readonly recording: Recording; readonly result: T }> {
    const seen: Registered[] = [];
    const preview = options.preview ?? false;
    await pulumi.runtime.setMocks(
        {
            newResource: ({ name, type, inputs }) => {
                const known: Record<string, unknown> = z.record(z.string(), z.unknown()).parse(inputs);
                if (type !== "command:local:Command" || preview)
                    return { id: preview ? undefined : name, state: known };
                return {
                    id: name,
                    state: { ...known, stdout: options.outputs?.[name] ?? stepOutput(name), stderr: "" },
                };
            },
            call: ({ inputs }) => options.run?.(z.record(z.string(), z.unknown()).parse(inputs)) ?? {},
        },
        "synapse-migration",
        "test",
        preview,
    );
    const monitor = pulumi.runtime.getMonitor();
    if (monitor === undefined) throw new Error("the mocks are not in place");
    const names = new Map<string, string>();
    // The mocks know neither dependencies nor options: what the SDK asks them for is looked at on its way.
    const register = monitor.registerResource.bind(monitor) as RegisterResource;
    const recorded: RegisterResource = (request, callback) => {
        const entry = seen.push(described(request, names)) - 1;
        return register(request, (error, response) => {
            const registered = seen[entry];
            if (error === null && registered !== undefined) {
                names.set(response.getUrn(), registered.name);
                seen[entry] = { ...registered, urn: response.getUrn() };
            }
            callback(error, response);
        });
    };
    Object.assign(monitor, { registerResource: recorded });
    const result = await program();
    await pulumi.runtime.disconnect();
    return { recording: new Recording(seen), result };
}

/** The value of an output that is known. */
export function valueOf<T>(output: pulumi.Output<T>): Promise<pulumi.Unwrap<T>> {
    return new Promise((resolve) => {
        pulumi.output(output).apply(resolve);
    });
}

function described(request: RegisterResourceRequest, names: ReadonlyMap<string, string>): Registered {
    const timeouts = request.getCustomtimeouts();
    const inputs: unknown = request.getObject()?.toJavaScript();
    return {
        name: request.getName(),
        type: request.getType(),
        urn: "",
        parent: names.get(request.getParent()) ?? "",
        version: request.getVersion(),
        dependencies: request.getDependenciesList().map((urn) => names.get(urn) ?? urn),
        protect: request.hasProtect() ? request.getProtect() : undefined,
        secretOutputs: request.getAdditionalsecretoutputsList(),
        replaceOnChanges: request.getReplaceonchangesList(),
        ignoreChanges: request.getIgnorechangesList(),
        timeouts:
            timeouts === undefined
                ? undefined
                : { create: timeouts.getCreate(), update: timeouts.getUpdate(), delete: timeouts.getDelete() },
        inputs: z.record(z.string(), z.unknown()).parse(inputs ?? {}),
    };
}
