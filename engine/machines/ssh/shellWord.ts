/** The one place where a word is quoted for a shell: sshd hands its command to the login shell of the user, whatever that is. */

/**
 * A word as it is, in single quotes: to every POSIX shell nothing in them means anything.
 *
 * Not covered: csh and its kind, which read `!` and newlines even in quotes. No word of ours has either.
 *
 * @throws RangeError for a NUL, which no argument of a program can have
 */
export function shellWord(word: string): string {
    if (word.includes("\0")) throw new RangeError("an argument cannot hold a NUL");
    return `'${word.replaceAll("'", `'\\''`)}'`;
}

/** A whole command: `exec` keeps the shell from staying between sshd and the program. */
export function remoteCommand(program: string, args: readonly string[]): string {
    return `exec ${[program, ...args].map(shellWord).join(" ")}`;
}
