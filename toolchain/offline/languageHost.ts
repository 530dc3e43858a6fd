/**
 * A stand-in for the official language host `nodejs`, for machines on which that one cannot be had. It is never used where the
 * official one stands beside the CLI or on PATH.
 *
 * It runs the program through `@pulumi/pulumi/cmd/run`, which is what the official host does, on the gRPC stubs that the same
 * package ships. Runtime options: `typescript`, `nodeargs`, `tsconfig`. Not covered: installing dependencies, component
 * plugins written in Node, code generation, the debugger.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";
import empty from "google-protobuf/google/protobuf/empty_pb.js";
import languageServices from "@pulumi/pulumi/proto/language_grpc_pb.js";
import language from "@pulumi/pulumi/proto/language_pb.js";
import pluginMessages from "@pulumi/pulumi/proto/plugin_pb.js";
import { z } from "zod";
import { lockedDependencies } from "./lockedDependencies.ts";
import { answering, engineAddress, servePlugin } from "./pluginServer.ts";
import { dependenciesOf } from "./requiredPackages.ts";

const version = "1.0.0";
/** cmd/run ends with this exit code when it has told the user already what is wrong (cmd/run/index.js). */
const alreadyReported = 32;

/** `runtime.options` of Pulumi.yaml. */
const runtimeOptions = z.looseObject({
    /** Whether cmd/run loads ts-node; true when absent, as with the official host. */
    typescript: z.boolean().default(true),
    /** Arguments for node, separated by spaces. */
    nodeargs: z
        .string()
        .regex(/^[^"'\\]*$/, "the stand-in for the language host splits nodeargs at spaces and knows no quotes")
        .default(""),
    /** Path of a tsconfig.json. */
    tsconfig: z.string().optional(),
});

const engine = engineAddress(process.argv.slice(2));
const programs = new Set<ChildProcess>();

function flag(name: string, value: string | number | undefined): string[] {
    return value === undefined || value === "" || value === 0 ? [] : [`--${name}`, String(value)];
}

async function run(
    request: InstanceType<typeof language.RunRequest>,
    signal: AbortSignal,
): Promise<InstanceType<typeof language.RunResponse>> {
    const info = request.getInfo();
    if (info === undefined) throw new Error("the engine did not say which program to run");
    const options = runtimeOptions.parse(info.getOptions()?.toJavaScript() ?? {});
    const program = resolve(info.getProgramDirectory(), info.getEntryPoint());
    const args = [
        ...options.nodeargs.split(/\s+/).filter((argument) => argument !== ""),
        createRequire(join(info.getProgramDirectory(), "package.json")).resolve("@pulumi/pulumi/cmd/run"),
        ...flag("monitor", request.getMonitorAddress()),
        ...flag("engine", engine),
        ...flag("organization", request.getOrganization()),
        ...flag("project", request.getProject()),
        ...flag("root-directory", info.getRootDirectory()),
        ...flag("stack", request.getStack()),
        ...flag("pwd", request.getPwd()),
        ...(request.getDryrun() ? ["--dry-run"] : []),
        ...flag("parallel", request.getParallel()),
        program,
        ...request.getArgsList(),
    ];
    const child = spawn(process.execPath, args, {
        cwd: request.getPwd(),
        stdio: ["ignore", "inherit", "inherit"],
        env: {
            ...process.env,
            PULUMI_CONFIG: JSON.stringify(Object.fromEntries(request.getConfigMap().toArray())),
            PULUMI_CONFIG_SECRET_KEYS: JSON.stringify(request.getConfigsecretkeysList()),
            PULUMI_NODEJS_TYPESCRIPT: String(options.typescript),
            ...(options.tsconfig === undefined ? {} : { PULUMI_NODEJS_TSCONFIG_PATH: options.tsconfig }),
        },
    });
    programs.add(child);
    signal.addEventListener("abort", () => child.kill("SIGTERM"), { once: true });
    try {
        return await response(child);
    } finally {
        programs.delete(child);
    }
}

function response(child: ChildProcess): Promise<InstanceType<typeof language.RunResponse>> {
    return new Promise((settle, reject) => {
        child.once("error", reject);
        child.once("exit", (code, signal) => {
            const answer = new language.RunResponse();
            if (code === alreadyReported) answer.setBail(true);
            else if (signal !== null) answer.setError(`Program was ended by ${signal}`);
            else if (code !== 0) answer.setError(`Program exited with non-zero exit code: ${String(code)}`);
            settle(answer);
        });
    });
}

await servePlugin({
    title: "pulumi-language-nodejs: stand-in of synapse-migration for the official language host nodejs",
    definition: languageServices.LanguageRuntimeService,
    handlers: {
        handshake: answering(() => new language.LanguageHandshakeResponse()),
        getPluginInfo: answering(() => {
            const info = new pluginMessages.PluginInfo();
            info.setVersion(version);
            return info;
        }),
        getRequiredPackages: answering((request: InstanceType<typeof language.GetRequiredPackagesRequest>) => {
            const answer = new language.GetRequiredPackagesResponse();
            const directory = request.getInfo()?.getProgramDirectory();
            const plugins =
                directory === undefined ? [] : dependenciesOf(directory).flatMap(({ plugin }) => plugin ?? []);
            answer.setPackagesList(
                plugins.map((plugin) => {
                    const dependency = new pluginMessages.PackageDependency();
                    dependency.setKind("resource");
                    dependency.setName(plugin.name);
                    dependency.setVersion(plugin.version);
                    return dependency;
                }),
            );
            return answer;
        }),
        getProgramDependencies: answering((request: InstanceType<typeof language.GetProgramDependenciesRequest>) => {
            const answer = new language.GetProgramDependenciesResponse();
            const directory = request.getInfo()?.getProgramDirectory();
            answer.setDependenciesList(
                (directory === undefined ? [] : lockedDependencies(directory)).map((dependency) => {
                    const entry = new language.DependencyInfo();
                    entry.setName(dependency.name);
                    entry.setVersion(dependency.version);
                    return entry;
                }),
            );
            return answer;
        }),
        about: answering(() => {
            const answer = new language.AboutResponse();
            answer.setExecutable(process.execPath);
            answer.setVersion(process.version);
            return answer;
        }),
        run: answering(run),
        cancel: answering(() => {
            for (const program of programs) program.kill("SIGTERM");
            return new empty.Empty();
        }),
    },
    busy: () => false,
});
