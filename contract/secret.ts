/** Fields of specifications that are secret: their schema says so, and whoever has the schema can ask. */
import { z } from "zod";

/**
 * What kind of secret it is, which says how much of it is looked for in what a process says. `text`: all of it, and each of its lines.
 * `armored`: its body; the lines around it are those of any key. `accessKey`: only if it was drawn at random; people also call an access
 * key as they call a server or a bucket. None of them is kept with a run.
 */
export type SecretKind = "text" | "armored" | "accessKey";

const secrets = z.registry<{ kind: SecretKind }>();

/** A password, a passphrase, a key, a token. */
export const secret = z.string().register(secrets, { kind: "text" });
/** An armored OpenPGP secret key. */
export const armoredSecret = z.string().register(secrets, { kind: "armored" });
/** The name of a key of S3, which a secret of its own goes with. */
export const accessKey = z.string().register(secrets, { kind: "accessKey" });

/** Undefined for what is no secret. What was made of a secret's schema by a further check is one too. */
export function secretKind(schema: z.core.$ZodType): SecretKind | undefined {
    return secrets.get(schema)?.kind;
}

/** Stands in a specification that is kept with the run where the secret was: good enough to undo the step with. */
export const removedSecret = "removed";
