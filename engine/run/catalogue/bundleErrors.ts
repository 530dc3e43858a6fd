/** Errors about bundles: encryption, compression, split files and archives. */
import { entry, type CatalogueEntry } from "./entry.ts";

const nothingUsed = "part of a homeserver would be restored as if it were the whole";

export const bundleErrors = {
    "SM-E0910": entry(
        "artefact",
        "gzip data is damaged, cut off, or has something behind it",
        nothingUsed,
        "copy the file again from where it was made and compare `sha256sum`; was it written by a pipe whose first program failed?",
    ),
    "SM-W0910": entry(
        "artefact",
        "the name of a file says something else than its content",
        "files are read by what they are; a name that lies often means that a step by hand was left out or done twice",
        "is this the file you mean? `file NAME` says what it is",
    ),
    "SM-E0914": entry(
        "artefact",
        "a format that is known but not read here",
        "what cannot be read and checked as it comes would have to be trusted",
        "convert it with the command named",
    ),
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
    "SM-E0940": entry(
        "artefact",
        "a zip archive is encrypted",
        "the encryption of zip does not prove that the content is unaltered",
        "unpack it by hand and pack it again: `unzip FILE`, then `zip -r NEW DIRECTORY`",
    ),
    "SM-E0941": entry(
        "artefact",
        "a zip archive is split into several files",
        "only one of them is here",
        "join them first: `zip -s 0 FILE.zip --out WHOLE.zip`",
    ),
    "SM-E0942": entry(
        "artefact",
        "entries of a zip archive have the same name",
        "one would replace the other, and which one depends on the program and the file system",
        "have the archive made again; was it made from a file system that tells upper from lower case?",
    ),
    "SM-E0943": entry(
        "artefact",
        "a zip archive has an entry that is neither a file nor a directory",
        "a link can make later entries land outside of the directory they are unpacked to",
        "have the archive made again from regular files (`zip -r`, without `--symlinks`)",
    ),
    "SM-E0944": entry(
        "artefact",
        "a zip archive is damaged",
        nothingUsed,
        "copy the file again from where it was made; `unzip -t FILE` checks it there",
    ),
    "SM-E0945": entry(
        "resources",
        "a zip archive unpacks to more than is allowed",
        "a small file can fill every disk",
        "is it a homeserver's export? Then raise the limit that is named",
    ),
    "SM-E0946": entry(
        "artefact",
        "a zip archive has an entry with an unsafe name",
        "files could be written outside of the directory it is unpacked to",
        "have the archive made again by a program that writes relative names in UTF-8 with `/` between directories",
    ),
    "SM-E0950": entry(
        "artefact",
        "a tar archive has an entry with an unsafe name",
        "files could be written outside of the directory it is unpacked to",
        "have the archive made again from within the directory: `tar -C DIRECTORY -czf FILE .`",
    ),
    "SM-E0951": entry(
        "artefact",
        "a tar archive holds a link",
        "a link can make later entries land outside of the directory they are unpacked to",
        "have the archive made again with what the links point to: `tar --dereference --hard-dereference -C DIRECTORY -czf FILE .`",
    ),
    "SM-E0952": entry(
        "artefact",
        "a tar archive holds a device or a pipe",
        "no homeserver has such files, and to make them takes over the machine",
        "have the archive made again from the right directory",
    ),
    "SM-E0953": entry(
        "artefact",
        "a tar archive has an entry of a kind that is not unpacked here",
        "sparse files and extensions of single tar programs would come out different from what was packed",
        "have the archive made again with plain files: `tar --format=posix -C DIRECTORY -czf FILE .`, without `--sparse`",
    ),
    "SM-E0954": entry(
        "artefact",
        "entries of an archive have the same name",
        "one would replace the other, and which one depends on the program and the file system",
        "have the archive made again; was it appended to, or made from a file system that tells upper from lower case?",
    ),
    "SM-E0955": entry(
        "resources",
        "a tar archive unpacks to more than is allowed",
        "a small file can fill every disk",
        "is it a homeserver's export? Then raise the limit that is named",
    ),
    "SM-E0956": entry(
        "artefact",
        "a tar archive is damaged or cut off",
        nothingUsed,
        "copy the file again from where it was made; `tar -tf FILE` lists it there",
    ),
    "SM-E0957": entry(
        "artefact",
        "the directory to unpack to is there already",
        "files of two exports would be mixed",
        "is something in it still needed? Move it away, or choose another directory",
    ),
    "SM-E0958": entry(
        "artefact",
        "the file is not an archive",
        "nothing can be unpacked from it",
        "is it the right file? `file NAME` says what it is; an archive whose first bytes are damaged is not known as one either",
    ),
} as const satisfies Record<string, CatalogueEntry>;
