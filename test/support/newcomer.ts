/** A stack of this project as a newcomer has it: its file in `stacks/`, driven by the commands of the guides, on a backend of files. */
import { mkdir, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { execa } from "execa";
import { makeRehearsalDirectory, removeRehearsalDirectory } from "../../rehearsal/directory.ts";
import { ensureToolchain } from "../../toolchain/toolchain.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const commandSeconds = 900;

export interface Newcomer {
    /** PATH with the CLI, a backend, a passphrase, a home and a directory of state, all of its own. */
    readonly environment: Readonly<Record<string, string>>;
    readonly stackFile: string;
    /** Everything that is made is below it. */
    readonly directory: string;
    /** Runs `npx synapse-migrate <args>`. @returns all that it says @throws Error with that, when it fails */
    readonly synapseMigrate: (...args: string[]) => Promise<string>;
    /** Runs `npx pulumi <args> --stack <stack>`, likewise. */
    readonly pulumi: (args: readonly string[], input?: string) => Promise<string>;
    /** Declares a phase and makes it true. */
    readonly up: (phase: string) => Promise<string>;
    /** Removes the file and the directory, with what still runs from it. @returns how many processes that were */
    readonly remove: () => Promise<number>;
}

/** @param stack  its name, of this process alone */
export async function newcomer(stack: string): Promise<Newcomer> {
    const { pulumi: cli } = await ensureToolchain({ pulumi: true, postgres: true, synapse: true }, () => undefined);
    if (cli === undefined) throw new Error("the toolchain set up no Pulumi");
    const directory = makeRehearsalDirectory();
    const [home, backend] = [join(directory, "home"), join(directory, "backend")];
    for (const made of [home, backend]) await mkdir(made, { mode: 0o700 });
    const stackFile = join(root, "stacks", `Pulumi.${stack}.yaml`);
    const environment = {
        ...cli.environment,
        HOME: home,
        PULUMI_HOME: cli.home,
        XDG_STATE_HOME: join(directory, "state"),
        PATH: `${dirname(cli.program)}:${process.env["PATH"] ?? ""}`,
        PULUMI_BACKEND_URL: `file://${backend}`,
        PULUMI_CONFIG_PASSPHRASE: "passphrase",
        PULUMI_SKIP_UPDATE_CHECK: "true",
    };
    const run = async (program: string, args: readonly string[], input = ""): Promise<string> => {
        const { all, failed } = await execa(program, args, {
            ...{ env: environment, cwd: root, input, reject: false, all: true, timeout: commandSeconds * 1000 },
        });
        if (failed) throw new Error(`${program} ${args.join(" ")}\n${all}`);
        return all;
    };
    const pulumi = (args: readonly string[], input?: string): Promise<string> =>
        run(cli.program, ["--non-interactive", ...args, "--stack", stack], input);
    return {
        ...{ environment, stackFile, directory, pulumi },
        synapseMigrate: (...args) => run(process.execPath, ["steps/synapse-migrate.mjs", ...args]),
        up: async (phase) => {
            await pulumi(["config", "set", "phase", phase]);
            return pulumi(["up", "--yes", "--skip-preview"]);
        },
        remove: async () => {
            await rm(stackFile, { force: true });
            return (await removeRehearsalDirectory(directory)).length;
        },
    };
}
