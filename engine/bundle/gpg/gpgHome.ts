/** Runs gpg with a home directory made for it: the keys, options and agent of the user we run as have no part in it. */
import { mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { isOnPath } from "../../machines/onPath.ts";
import { registerSecret } from "../../run/redaction.ts";
import type { Bytes } from "../streams/byteReader.ts";
import { streamProgram, type ProgramEnd } from "../streams/streamProgram.ts";

export interface GpgRun {
    readonly input: Bytes;
    /** Empty for none. */
    readonly passphrase: string;
    /** Of the message, in place of what would decrypt it: see `sessionKey.ts`. */
    readonly sessionKey?: string | undefined;
    /** Of this run, mode 0700: the home directory is made in it and removed again. */
    readonly workDirectory: string;
    readonly signal?: AbortSignal | undefined;
    readonly judge: (end: ProgramEnd) => void;
}

/**
 * No agent: neither a passphrase nor a public key nor a session key needs one, and one that was started would outlive us. Hence also the iteration count of
 * {@link s2kCount}, which gpg would otherwise have an agent measure.
 */
const always = [
    ...["--batch", "--no-tty", "--no-options", "--no-autostart", "--no-symkey-cache", "--no-auto-check-trustdb"],
    ...["--pinentry-mode", "loopback", "--status-fd", "4", "--display-charset", "utf-8"],
];

/** The most iterations RFC 9580 section 3.7.1.3 knows: 0.1 to 0.2 s for each try of a passphrase. */
export const s2kCount = 65_011_712;
const stallSeconds = 120;

/** What gpg makes of the input with these arguments; see {@link streamProgram}. */
export async function* gpg(args: readonly string[], run: GpgRun): AsyncGenerator<Buffer, void> {
    const home = await mkdtemp(join(run.workDirectory, "gnupg-"));
    const { sessionKey, passphrase } = run;
    const secretFrom = sessionKey === undefined ? "--passphrase-fd" : "--override-session-key-fd";
    // It says on its standard error which session key it was given.
    if (sessionKey !== undefined) registerSecret(sessionKey);
    try {
        yield* streamProgram("gpg", [...always, secretFrom, "3", "--homedir", home, ...args], {
            input: run.input,
            secret: `${sessionKey ?? passphrase}\n`,
            stallSeconds,
            signal: run.signal,
            judge: run.judge,
        });
    } finally {
        await rm(home, { recursive: true, force: true });
    }
}

/** Whether a gpg can be run here. */
export const hasGpg = (path?: string): Promise<boolean> => isOnPath("gpg", path);
