/** SM-E092 and SM-E093: encryption, packing, checksums. */
import { entry, nothingUsed, type CatalogueEntry } from "./entry.ts";

export const e092Encryption = {
    "SM-E0920": entry(
        "secret",
        "the passphrase does not decrypt the file",
        "nothing of it can be read",
        "set the right one: `pulumi config set --secret synapse-migration:passphrase`; was it copied with a space or a line end?",
    ),
    "SM-W0920": entry(
        "secret",
        "an encrypted file was not looked into",
        "what it holds is known only when it is restored",
        "set config `passphrase`, or `secretKey` for a file that is encrypted to a key: `pulumi config set --secret synapse-migration:passphrase`",
    ),
    "SM-E0921": entry(
        "secret",
        "the file is encrypted to a key whose secret half is not here",
        "nothing of it can be read",
        "set the key: `gpg --armor --export-secret-keys KEY | pulumi config set --secret synapse-migration:secretKey`; or decrypt the file where the key is",
    ),
    "SM-E0922": entry(
        "secret",
        "the receiver's key has expired or was revoked",
        "the receiver may not be able, or not be willing, to decrypt what is encrypted to it",
        "ask the receiver for the key that is valid now, or set a passphrase instead",
    ),
    "SM-E0923": entry(
        "artefact",
        "the encrypted file has no integrity protection",
        "anybody on its way could have altered it without a trace",
        "have it encrypted again by a GnuPG of this century, without `--rfc2440` and `--disable-mdc`",
    ),
    "SM-E0924": entry(
        "artefact",
        "the encrypted file was altered after it was made",
        "its content is not what its maker put in: a damaged disk, a transfer in text mode, or an attacker",
        "copy the file again from where it was made and compare `sha256sum`",
    ),
    "SM-E0925": entry(
        "artefact",
        "the encrypted file is cut off",
        nothingUsed,
        "copy the file again from where it was made; is the last part of a split file missing?",
    ),
    "SM-E0926": entry(
        "artefact",
        "the file is an OpenPGP message that is not encrypted",
        "it may be read by anybody, and its signer is not known here",
        "take it out with `gpg --decrypt FILE > CONTENT`, having checked the signature",
    ),
    "SM-E0927": entry(
        "artefact",
        "the file is encrypted more than once",
        "only one passphrase is known",
        "take off the outer encryption by hand: `gpg --no-symkey-cache --output INNER --decrypt FILE`",
    ),
    "SM-E0928": entry(
        "secret",
        "the file could not be encrypted",
        "a homeserver's data must not leave this machine readable",
        "is the receiver's file one public key that can encrypt (`gpg --show-keys FILE`)?",
    ),
    "SM-E0929": entry(
        "secret",
        "the secret key cannot be used",
        "nothing that is encrypted to it can be read",
        "set what `gpg --armor --export-secret-keys KEY` writes as config `secretKey`, and its passphrase as config `passphrase`",
    ),
    "SM-E0930": entry(
        "artefact",
        "the parts of a file are not one complete set",
        nothingUsed,
        "bring all the parts of one export into one directory, and nothing else that has such a name",
    ),
    "SM-E0931": entry(
        "artefact",
        "an input file cannot be read, or changes while it is read",
        "what is still being written is not a backup yet",
        "wait until it was transferred, and name a regular file that may be read",
    ),
    "SM-E0932": entry(
        "artefact",
        "an input file does not have the checksum that was written down beside it",
        "it is not what its maker wrote, or not all of it; most formats cannot tell by themselves",
        "copy the file again from where it was made; was it made anew after its checksum? then write that anew too: `sha256sum FILE > FILE.sha256`",
    ),
} as const satisfies Record<string, CatalogueEntry>;
