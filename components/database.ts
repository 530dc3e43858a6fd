/** The PostgreSQL database that the target's homeserver connects to. */
import * as pulumi from "@pulumi/pulumi";
import type { z } from "zod";
import {
    catchUpContract,
    copyContract,
    databaseContract,
    followContract,
    importContract,
    installedDatabaseContract,
    restoreContract,
    safeguardContract,
    settleContract,
    swapContract,
    type BundleSource,
    type FenceTarget,
    type SafeguardCopy,
    type SelfHostedSource,
    type Source,
    type TargetDatabase,
} from "../contract/index.ts";
import type { EarlierStep, SpecInputs } from "./migrationStep.ts";
import type { StepSequence } from "./stepSequence.ts";
import type { HomeserverLayout } from "./targets/target.ts";

/** What {@link Database} needs. */
export interface DatabaseArgs {
    readonly steps: StepSequence;
    readonly source: Source;
    /** The server, one of our own or one that is there, and the names of database and owner. */
    readonly layout: HomeserverLayout["database"];
    /** Whom the target's servers run as; see `target.user`. */
    readonly user?: string | undefined;
    readonly protect: boolean;
}

/** A dump that can be checked against its manifest, and what is known of the source it is from. */
export interface CheckedDump extends EarlierStep {
    readonly result: pulumi.Output<{ manifestFile: string; manifestDigest: string }>;
}

/** How a bundle's dump is read. */
export type ImportOptions = Pick<
    SpecInputs<z.infer<typeof importContract.spec>>,
    "jobs" | "passphrase" | "secretKey" | "targetPython" | "verifyKeys" | "foreignCode" | "sqliteNul"
>;

/** How many connections copy, and at most how fast. */
export type CopyOptions = Pick<z.infer<typeof copyContract.spec>, "jobs" | "bytesPerSecond">;

/** How a source that goes on running is copied, and where the target's server finds it. */
export type FollowOptions = Pick<z.infer<typeof followContract.spec>, "jobs" | "bytesPerSecond" | "replication">;
/** A copy that follows its source. */
export type Followed = ReturnType<Database["follow"]>;

/** What stands under the target's name before the swap, and the copy of it where it holds data. */
export interface Safeguarded {
    readonly previous: pulumi.Output<string>;
    readonly copy: pulumi.Output<SafeguardCopy | undefined>;
    readonly resource: pulumi.Resource;
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
        const { steps, source, layout, user, protect } = args;
        const { name: databaseName, owner, server, replace } = layout;
        super("synapse-migration:index:Database", name, { databaseName, owner, server: server.kind }, opts);
        this.#args = args;
        const place = { parent: this, protect };
        const { database, serverVersion } = pulumi.output(
            server.kind === "installed"
                ? steps.add(
                      installedDatabaseContract,
                      { run: steps.run, source, replace, ...installedPlace(server) },
                      place,
                  ).result
                : steps.add(
                      databaseContract,
                      { run: steps.run, source, name: databaseName ?? "", owner: owner ?? "", replace, server, user },
                      place,
                  ).result,
        );
        this.connection = database;
        this.registerOutputs({ serverVersion });
    }

    /** What has to answer before the source is stopped. */
    public get successor(): pulumi.Output<FenceTarget> {
        const own = ownDirectory(this.#args.layout.server);
        return this.connection.apply((database) => ({ database, ...own }));
    }

    /**
     * Looks at what the swap will put aside, and copies it where it holds data and may be replaced.
     *
     * @param after  a step that it comes after
     * @param jobs  processes that dump and restore at the same time
     */
    public safeguard(after: EarlierStep | undefined, jobs: number): Safeguarded {
        const { steps, layout } = this.#args;
        const spec = { run: steps.run, database: this.connection, replace: layout.replace, jobs };
        const { result, resource } = steps.add(safeguardContract, spec, { parent: this, after: [after] });
        return {
            resource,
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

    /**
     * Copies the source's database, from server to server, into a new one beside the one in use.
     *
     * @param fenceToken  absent in a rehearsal, whose source goes on: one-time keys are emptied then
     */
    public copy(
        source: SelfHostedSource,
        fenceToken: pulumi.Output<string> | undefined,
        safeguard: Safeguarded,
        how: CopyOptions,
        after: EarlierStep | undefined,
    ) {
        const { steps } = this.#args;
        const [run, database] = [steps.run, this.connection];
        const spec = { run, source, fenceToken, database, safeguard: safeguard.previous, ...how };
        return steps.add(copyContract, spec, { parent: this, after: [after] });
    }

    /** Copies a source that goes on running, and has the copy follow it. */
    public follow(source: SelfHostedSource, how: FollowOptions) {
        const { steps, layout } = this.#args;
        const spec = { run: steps.run, source, database: this.connection, ...how, ...ownDirectory(layout.server) };
        return steps.add(followContract, spec, { parent: this });
    }

    /** The last look at what follows, before the source is stopped. */
    public settle(source: SelfHostedSource, { result: { digest } }: Followed, { replication }: FollowOptions) {
        const { steps } = this.#args;
        const spec = { run: steps.run, source, database: this.connection, replication, digest };
        return steps.add(settleContract, spec, { parent: this });
    }

    /** Takes over the last change of the fenced source. */
    public catchUp(
        source: SelfHostedSource,
        { result: { digest } }: Followed,
        fenceToken: pulumi.Output<string>,
        { previous: safeguard }: Safeguarded,
        { replication, jobs, verify }: FollowOptions & Pick<z.infer<typeof catchUpContract.spec>, "verify">,
    ) {
        const { steps } = this.#args;
        const followed = { run: steps.run, source, database: this.connection, replication, digest };
        return steps.add(catchUpContract, { ...followed, fenceToken, safeguard, verify, jobs }, { parent: this });
    }

    /** Reads the dump of a bundle into a new database beside the one in use. */
    public import(source: pulumi.Input<BundleSource>, safeguard: Safeguarded, how: ImportOptions) {
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

type Server = HomeserverLayout["database"]["server"];

function installedPlace({ deployment, admin, programs, directory }: Extract<Server, { kind: "installed" }>) {
    return { deployment, ...(admin === undefined ? {} : { admin }), programs, directory };
}

/** Of a server that we have made. */
function ownDirectory(server: Server): { readonly serverDirectory?: string } {
    return server.kind === "managed" ? { serverDirectory: server.directory } : {};
}
