/** Recognises Synapse's processes by their command lines. */
import { basename, resolve } from "node:path";
import { redact } from "../run/redaction.ts";
import type { ServiceUser } from "../machines/serviceUser.ts";
import type { Recognise } from "./daemon.ts";
import type { ProcessIdentity } from "../machines/machine.ts";
import type { ProcReader } from "../machines/procText.ts";
import { allProcesses, descendants, type ProcessFacts } from "../machines/procfs.ts";

/** Whether a command line is that of one of Synapse's processes, started as a module, by its console script, or from its source. */
export function looksLikeSynapse(argv: readonly string[]): boolean {
    return argv.some(
        (word, index) =>
            (argv[index - 1] === "-m" && /^synapse\.app\.[a-z_]+$/.test(word)) ||
            (index < 2 && /^\.?synapse_(homeserver|worker|generic_worker)(-wrapped)?$/.test(basename(word))) ||
            /\/synapse\/app\/[a-z_]+\.py$/.test(word),
    );
}

/** The configuration files that a command line names, absolute. */
export function configFiles({ argv, workingDirectory }: Pick<ProcessFacts, "argv" | "workingDirectory">): string[] {
    return argv.flatMap((word, index) => {
        const inline = /^--config-path=(.+)$/.exec(word)?.[1];
        const value = inline ?? (/^(-c|--config-path)$/.test(argv[index - 1] ?? "") ? word : undefined);
        return value === undefined ? [] : [resolve(workingDirectory ?? "/", value)];
    });
}

/** Recognises the homeserver that runs with a configuration, as a user; as ourselves when absent. */
export function homeserverWith(configFile: string, user: ServiceUser | undefined): Recognise {
    return (found) =>
        found.uid === (user?.uid ?? process.geteuid?.()) &&
        looksLikeSynapse(found.argv) &&
        configFiles(found).includes(configFile);
}

/** Processes below the main one, and other live Synapse processes of the same configuration beside it: workers. */
export async function relatives(
    machine: ProcReader,
    main: ProcessFacts,
): Promise<{ below: ProcessFacts[]; beside: ProcessFacts[] }> {
    const all = await allProcesses(machine);
    const below = descendants(main.pid, all);
    const family = new Set([main.pid, ...below.map(({ pid }) => pid)]);
    const beside = sharingConfiguration(main, all).filter(({ pid }) => !family.has(pid));
    return { below, beside };
}

/** Live Synapse processes that use one of the configuration files that another uses or used. */
export function sharingConfiguration(
    of: Pick<ProcessFacts, "argv" | "workingDirectory">,
    all: readonly ProcessFacts[],
): ProcessFacts[] {
    return usingConfiguration(configFiles(of), all);
}

/** Live Synapse processes that were started with one of these configuration files, or directories of them. */
export function usingConfiguration(files: readonly string[], all: readonly ProcessFacts[]): ProcessFacts[] {
    return all.filter((one) => looksLikeSynapse(one.argv) && configFiles(one).some((file) => files.includes(file)));
}

/** Live homeservers that were started with one of these configuration files, by whomever. */
export async function homeserversOf(machine: ProcReader, files: readonly string[]): Promise<ProcessFacts[]> {
    return usingConfiguration(files, await allProcesses(machine));
}

const longestDescription = 300;

/** For messages and evidence: number and command line. */
export function describe({ pid, argv }: ProcessIdentity & { readonly argv: readonly string[] }): string {
    return redact(`process ${pid}: ${argv.join(" ")}`).slice(0, longestDescription);
}
