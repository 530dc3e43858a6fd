/** What is specific to a target that another provider receives as files: where they go, and who can read them. */
import { z } from "zod";
import { absolutePath, bundlePlace, databaseFormat } from "../../../contract/index.ts";

/** `synapse-migration:target` of kind `emsBundle`. */
export const emsBundleTargetSchema = z.strictObject({
    kind: z.literal("emsBundle"),
    /** Of the bundle: must not be there yet, or be empty. All that is in it is sent to the receiver. */
    directory: absolutePath,
    /** Python of a virtual environment that has `matrix-synapse[postgres]`, of the version that the receiver runs. */
    synapsePython: absolutePath,
    /** Directory of pg_dump; of the source server's major version or newer, and not newer than the receiver's server. */
    postgresPrograms: absolutePath,
    /**
     * `plain` is what another provider's guide asks for, and the default. `directory` is for another stack of one's own: several times
     * faster to write and to read.
     */
    databaseFormat: databaseFormat.optional(),
    /** Splits longer files into `.part-aa`, `.part-ab`, …; bytes. */
    partBytes: bundlePlace.shape.partBytes,
    /** The receiver's public key, armored or binary. Without it the secret `passphrase` encrypts. */
    recipientKeyFile: absolutePath.optional(),
});
export type EmsBundleTargetConfig = z.infer<typeof emsBundleTargetSchema>;

export type EmsBundleLayout = ReturnType<typeof emsBundleTarget>;

/** Nothing of it is made here. */
export function emsBundleTarget(config: EmsBundleTargetConfig) {
    const { kind, directory, synapsePython, postgresPrograms, partBytes, recipientKeyFile } = config;
    const { databaseFormat: format } = config;
    return {
        kind,
        directory,
        python: synapsePython,
        clientDirectory: postgresPrograms,
        format,
        bundle: { directory, partBytes, recipientKeyFile },
    };
}
