/** SM-E08: which server, which keys, which pepper it is. */
import { entry, type CatalogueEntry } from "./entry.ts";

export const e08Identity = {
    "SM-E0801": entry(
        "identity",
        "the server name is not the source's",
        "users, rooms and events belong to one server name for ever",
        "set config `serverName` to the source's; is this the stack of another homeserver?",
    ),
    "SM-E0802": entry(
        "identity",
        "the database has users of another server",
        "Synapse checks one user only and would start; a server name can never be changed",
        "is this the right database? Users of another server in it must be removed by hand, knowing why they are there",
    ),
    "SM-E0803": entry(
        "identity",
        "source and target are the same database",
        "restoring a database onto itself destroys it",
        "choose another name or another server for the target's database",
    ),
    "SM-E0804": entry(
        "identity",
        "the target's database is not empty",
        "restoring into existing tables corrupts a homeserver",
        "choose a name that no database has yet, or rename the existing database after making sure that nobody needs it",
    ),
    "SM-E0805": entry(
        "identity",
        "the target's database name is not usable",
        "the databases that PostgreSQL keeps for itself must not hold a homeserver",
        "choose another name, for example `synapse`",
    ),
    "SM-E0806": entry(
        "identity",
        "the target's PostgreSQL server is a standby",
        "a standby cannot be written to",
        "give the address of the primary server",
    ),
    "SM-E0810": entry(
        "identity",
        "the signing key is empty",
        "Synapse would invent a new key, and other homeservers would reject what it signs",
        "give the content of the source's signing key file",
    ),
    "SM-E0811": entry(
        "identity",
        "a public key was given as signing key",
        "nothing can be signed with a public key",
        "give the content of the source's signing key file, a line `ed25519 <version> <43 characters>`",
    ),
    "SM-E0812": entry(
        "identity",
        "the signing key has the wrong length",
        "an ed25519 seed has exactly 32 bytes; this one was cut or added to",
        "copy the signing key file again, whole",
    ),
    "SM-E0813": entry(
        "identity",
        "the signing key is not base64",
        "a key that is decoded to other bytes signs as another server",
        "copy the signing key file again, byte by byte",
    ),
    "SM-E0814": entry(
        "identity",
        "the signing key file has another form than Synapse's",
        "Synapse would refuse to start with it",
        "give lines of three words: `ed25519 <version> <43 characters>`, each version once",
    ),
    "SM-E0815": entry(
        "identity",
        "the signing key has the old form without a version",
        "Synapse gives such a key a random key id at its next start, which other homeservers do not know",
        "write `ed25519 <version> <key>` with the version that `/_matrix/key/v2/server` of the source shows",
    ),
    "SM-E0816": entry(
        "identity",
        "the signing key is of another algorithm than ed25519",
        "Matrix has no other algorithm, and Synapse would refuse to start",
        "give the source's ed25519 key",
    ),
    "SM-E0817": entry(
        "identity",
        "the signing key is not the source's",
        "other homeservers would reject all that the target signs",
        "give the content of the source's signing key file; is this the stack of another homeserver?",
    ),
    "SM-W0817": entry(
        "identity",
        "it cannot be proven that the signing key signed this database's events",
        "a key that merely looks right would cut the server off",
        "compare the key id with what other servers have: https://<another server>/_matrix/key/v2/query/<this server>",
    ),
    "SM-E0818": entry(
        "identity",
        "the signing key is not the source's",
        "every other homeserver would reject what the target signs",
        "set config `signingKey` to the content of the source's signing key file, byte for byte",
    ),
    "SM-W0818": entry(
        "identity",
        "the signing key is publicly known",
        "others can sign as this homeserver, and Synapse refuses what it signed (CVE-2026-24044)",
        "rotate the signing key as the advisory ELEMENTSEC-2025-1670 says, before or right after the migration",
    ),
    "SM-E0820": entry(
        "identity",
        "the pepper is not the source's",
        "with another pepper no user can log in with their password",
        "set it to password_config.pepper of the source: `pulumi config set --secret pepper`",
    ),
    "SM-W0821": entry(
        "identity",
        "the pepper begins or ends with white space",
        "it counts, and copying by hand loses it",
        "take it over with `synapse-migrate init`, never by hand",
    ),
    "SM-E0830": entry(
        "identity",
        "the macaroon secret is not the source's",
        "guests would be logged out and pending logins and unsubscribe links fail",
        "set it to what the source uses in effect: `pulumi config set --secret macaroonSecretKey`",
    ),
    "SM-W0831": entry(
        "secret",
        "No macaroon secret came with the bundle",
        "Guest tokens, links in mails that were sent, and short login tokens of the old server are not accepted any more. Users stay logged in.",
        "ask who made the bundle for `macaroon_secret_key`; else go on without it",
    ),
} as const satisfies Record<string, CatalogueEntry>;
