/** A stack of this project for a test homeserver, driven by the real CLI. */
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { makeServiceDirectory } from "../../rehearsal/directory.ts";
import { PulumiStack } from "../../rehearsal/pulumiStack.ts";
import { registerCanary, type Canary } from "../../rehearsal/source/canary.ts";
import type { Progress } from "../../engine/run/progress.ts";
import { ensureToolchain } from "../../toolchain/toolchain.ts";
import { secretsOf, sourceOf } from "./migrationSpecs.ts";
import type { TestSynapse } from "./synapse.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));

export const stackOutputs = z.object({
    runId: z.string(),
    gatewayUrl: z.url(),
    report: z.object({ json: z.string(), markdown: z.string(), html: z.string() }),
});

/** Listens to what Pulumi says, so that a test can act while a step works. */
class Listener implements Progress {
    public readonly lines: string[] = [];
    public onLine: (line: string) => void = () => undefined;

    public say(line: string): void {
        this.lines.push(line);
        this.onLine(line);
    }

    public note(line: string): void {
        this.say(line);
    }

    public during<T>(_title: string, work: () => Promise<T>): Promise<T> {
        return work();
    }
}

export interface TestStack {
    readonly stack: PulumiStack;
    readonly listener: Listener;
    readonly canary: Canary;
    /** Everything that must not be found outside of the files made for it. */
    readonly secrets: readonly string[];
    readonly gatewayUrl: () => Promise<string>;
}

export interface TestStackOptions {
    /** A directory of its own below the test homeserver's, for one of several stacks of the same homeserver. */
    readonly place?: string;
    /** Of another stack of it; registered when absent. */
    readonly canary?: Canary;
    /** Added to that of Pulumi, and so to that of every step. */
    readonly environment?: Readonly<Record<string, string>> | undefined;
}

/** Makes the stack; target, work directory, reports and Pulumi's own files are below the test homeserver's directory. */
export async function makeTestStack(
    synapse: TestSynapse,
    config: Readonly<Record<string, unknown>>,
    { place = "", canary, environment: more = {} }: TestStackOptions = {},
): Promise<TestStack> {
    const wanted = { pulumi: true, postgres: true, synapse: true };
    const { pulumi, postgres, synapse: environment } = await ensureToolchain(wanted, () => undefined);
    if (pulumi === undefined || postgres === undefined || environment === undefined)
        throw new Error("the toolchain is incomplete");
    const { homeserver, cluster } = synapse;
    const directory = join(synapse.directory, place);
    const account = canary ?? (await registerCanary(homeserver, "e2e"));
    const secrets = { ...secretsOf(synapse), canaryPassword: account.password };
    const { serverName, ...source } = sourceOf(synapse);
    const listener = new Listener();
    const stack = await PulumiStack.create({
        name: `e2e-${process.pid}-${config["rehearsal"] === true ? "rehearsal" : "move"}${place}`,
        pulumi: { ...pulumi, environment: { ...pulumi.environment, ...more } },
        projectDirectory: root,
        directory: join(directory, "pulumi"),
        config: {
            serverName,
            source,
            target: {
                kind: "local",
                directory: makeServiceDirectory(join(directory, "target")),
                synapsePython: environment.python,
                postgresPrograms: postgres.directory,
            },
            workDirectory: join(directory, "work"),
            reportDirectory: join(directory, "reports"),
            canaryUser: account.user,
            canaryBaseUrl: homeserver.baseUrl,
            ...config,
        },
        secrets,
        progress: listener,
        signal: new AbortController().signal,
    });
    return {
        stack,
        listener,
        canary: account,
        secrets: [...Object.values(secrets), cluster.synapse.password, homeserver.files.registrationSharedSecret],
        gatewayUrl: async () => (await stack.outputs(stackOutputs)).gatewayUrl.replace(/\/$/, ""),
    };
}
