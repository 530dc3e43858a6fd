/** The PostgreSQL database that the target's homeserver connects to. */
import * as pulumi from "@pulumi/pulumi";
import type { z } from "zod";
import {
    databaseContract,
    importContract,
    restoreContract,
    safeguardContract,
    swapContract,
    type BundleSource,
    type SafeguardCopy,
    type Source,
    type TargetDatabase,
} from "../steps/contract.ts";
import type { EarlierStep, SpecInputs } from "./migrationStep.ts";
import type { StepSequence } from "./stepSequence.ts";
import type { TargetLayout } from "./targets/local.ts";

/** What {@link Database} needs. */
export interface DatabaseArgs {
    readonly steps: StepSequence;
    readonly source: Source;
    /** The server, one of our own or one that is there, and the names of database and owner. */
    readonly layout: TargetLayout["database"];
    readonly protect: boolean;
}

/** A dump that can be checked against its manifest, and what is known of the source it is from. */
export interface CheckedDump extends EarlierStep {
    readonly result: pulumi.Output<{ manifestFile: string; manifestDigest: string }>;
}

/** How a bundle's dump is read. */
export type ImportOptions = Pick<
    SpecInputs<z.infer<typeof importContract.spec>>,
    "jobs" | "passphrase" | "secretKey" | "targetPython" | "verifyKeys"
>;

/** What stands under the target's name before the swap, and the copy of it where it holds data. */
export interface Safeguarded {
    readonly previous: pulumi.Output<string>;
    readonly copy: pulumi.Output<SafeguardCopy | undefined>;
}

/**
 * A server, Synapse's role, and an empty database. Data never goes into a database that is in use: it is restored into a new
 * one beside it, which takes its name once it is verified.
 */
export class Database extends pulumi.ComponentResource {
    /** How to work on the database; passwords are in files of mode 0600. */
    public readonly connection: pulumi.Output<TargetDatabase>;
    readonly #args: DatabaseArgs;

    constructor(name: string, args: DatabaseArgs, opts?: pulumi.ComponentResourceOptions) {
        const { steps, source, layout, protect } = args;
        const { name: databaseName, owner, server, replace } = layout;
        super("synapse-migration:index:Database", name, { databaseName, owner, server: server.kind }, opts);
        this.#args = args;
        const { result } = steps.add(
            databaseContract,
            { run: steps.run, source, name: databaseName, owner, replace, server },
            { parent: this, protect },
        );
        this.connection = result.database;
        this.registerOutputs({ serverVersion: result.serverVersion });
    }

    /**
     * Looks at what the swap will put aside, and copies it where it holds data and may be replaced.
     *
     * @param jobs  processes that dump and restore at the same time
     */
    public safeguard(dump: CheckedDump | undefined, jobs: number): Safeguarded {
        const { steps, layout } = this.#args;
        const spec = { run: steps.run, database: this.connection, replace: layout.replace, jobs };
        const { result } = steps.add(safeguardContract, spec, { parent: this, after: [dump] });
        return {
            previous: result.apply(({ previous }) => previous),
            copy: result.apply((made) =>
                made.previous === "copied" ? { manifestFile: made.manifestFile, digest: made.digest } : undefined,
            ),
        };
    }

    /**
     * Restores a dump into a new database beside the one in use.
     *
     * @param fenceToken  one-time keys are emptied without it
     * @param jobs  processes that restore at the same time
     */
    public restore(
        dump: CheckedDump,
        fenceToken: pulumi.Output<string> | undefined,
        safeguard: Safeguarded,
        jobs: number,
    ) {
        const { steps, source } = this.#args;
        const [run, database] = [steps.run, this.connection];
        const { manifestFile, manifestDigest } = dump.result;
        return steps.add(
            restoreContract,
            {
                run,
                serverName: source.serverName,
                database,
                manifestFile,
                manifestDigest,
                fenceToken,
                safeguard: safeguard.previous,
                jobs,
            },
            { parent: this },
        );
    }

    /** Reads the dump of a bundle into a new database beside the one in use. */
    public import(source: BundleSource, safeguard: Safeguarded, how: ImportOptions) {
        const { steps } = this.#args;
        const spec = { run: steps.run, source, database: this.connection, safeguard: safeguard.previous, ...how };
        return steps.add(importContract, spec, { parent: this });
    }

    /** Gives the restored database the name that Synapse connects to, once the verification has proven it. */
    public swap(incoming: pulumi.Output<string>, proof: pulumi.Output<string>, { copy }: Safeguarded) {
        const { steps } = this.#args;
        return steps.add(
            swapContract,
            { run: steps.run, database: this.connection, incoming, proof, copy },
            { parent: this },
        );
    }
}
