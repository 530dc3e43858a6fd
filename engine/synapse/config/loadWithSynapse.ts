/** Has the target's own Synapse load configurations as it does at its start, without starting it. */
import { readFile } from "node:fs/promises";
import { z } from "zod";
import type { ServiceUser } from "../../machines/serviceUser.ts";
import { runProgram } from "../../machines/program.ts";
import { redact } from "../../run/redaction.ts";

const problemShape = z.strictObject({
    /** Synapse's own words. */
    message: z.string(),
    /** The Python module that is not installed. */
    missing: z.string().nullable(),
    /** The extra of Synapse that needs what is not installed. */
    extra: z.string().nullable(),
    /** Where a module of Synapse is configured that cannot be loaded, and which. */
    setting: z.string().nullable(),
    module: z.string().nullable(),
});
export type LoadProblem = z.infer<typeof problemShape>;

const answerShape = z.strictObject({
    /** Absent where the Python has no Synapse. */
    version: z.string().nullable(),
    problems: z.array(z.array(problemShape)),
});

export interface Loading {
    /** Python of the target's Synapse. */
    readonly python: string;
    /** Whom Synapse runs as; ourselves when absent. */
    readonly user: ServiceUser | undefined;
    /** Where Synapse is started. */
    readonly workingDirectory: string;
    /** Major version of the target's server, for Synapse's own check of it; `connect` asks the configured server itself. */
    readonly server?: number | "connect" | undefined;
    readonly signal?: AbortSignal | undefined;
}

/** Imports take seconds on a busy machine. */
const loadSeconds = 120;

/**
 * Loads each list of configuration files, in its order, and with them the modules that they name.
 *
 * The program is passed as an argument: the service's user may not be able to read where it lies. It gets no other environment, working
 * directory or module path than the start will give to Synapse.
 *
 * @returns what Synapse says of each of them: nothing where it would start with it
 * @throws MigrationError SM-E1101 when the Python cannot be run
 */
export async function loadWithSynapse(
    configurations: readonly (readonly string[])[],
    { python, user, workingDirectory, server, signal }: Loading,
): Promise<{ readonly version: string | null; readonly problems: readonly (readonly LoadProblem[])[] }> {
    const program = await readFile(new URL("load_configuration.py", import.meta.url), "utf8");
    const question = {
        configurations,
        // As libpq numbers it.
        serverVersion: typeof server === "number" ? server * 10_000 : null,
        connect: server === "connect",
    };
    const { stdout } = await runProgram(python, ["-B", "-c", program], {
        workingDirectory,
        input: JSON.stringify(question),
        timeoutSeconds: loadSeconds,
        ...(user === undefined ? {} : { user: { uid: user.uid, gid: user.gid } }),
        ...(signal === undefined ? {} : { signal }),
    });
    const { version, problems } = answerShape.parse(JSON.parse(stdout));
    const redacted = (found: LoadProblem[]): LoadProblem[] =>
        found.map((problem) => ({ ...problem, message: redact(problem.message) }));
    return { version, problems: problems.map(redacted) };
}

/** Packages of modules that public configurations name; Synapse's own extras it knows itself. */
const packages: Readonly<Record<string, string>> = {
    ldap_auth_provider: "matrix-synapse-ldap3",
    s3_storage_provider: "synapse-s3-storage-provider",
    shared_secret_authenticator: "shared-secret-authenticator",
    synapse_auto_accept_invite: "synapse-auto-accept-invite",
    email_account_validity: "synapse-email-account-validity",
    synapse_http_antispam: "synapse-http-antispam",
    synapse_token_authenticator: "synapse-token-authenticator",
    matrix_http_rendezvous_synapse: "matrix-http-rendezvous-synapse",
};

/** What keeps Synapse from starting, as an error or a finding has it. */
export interface Refusal {
    /** SM-E0525 where something is to be installed, else SM-E0524. */
    readonly code: "SM-E0524" | "SM-E0525";
    readonly found: string;
    readonly fix?: string;
}

/** @param version  of the target's Synapse, for what it has packages of its own for */
export function refusalOf(problem: LoadProblem, python: string, version: string): Refusal {
    const { message, missing, extra, setting, module } = problem;
    const what = setting === null ? "" : `${setting}, module ${module ?? "unknown"}: `;
    const found = `${what}${message.replaceAll(/\s*\n\s*/g, " ")}`;
    const known = missing === null ? undefined : packages[missing];
    const wanted =
        extra !== null
            ? `"matrix-synapse[${extra}]==${version}"`
            : (known ?? (missing === null ? undefined : `<the package that has the Python module ${missing}>`));
    return wanted === undefined
        ? { code: "SM-E0524", found }
        : { code: "SM-E0525", found, fix: `${python} -m pip install ${wanted}` };
}
