/** What opens the encrypted files of a source. */
import { registerSecret } from "../../run/redaction.ts";

interface Unlocking {
    /** Of files that are encrypted with it, and of the secret key. */
    readonly passphrase?: string | undefined;
    /** Armored; of files that are encrypted to its public half. */
    readonly secretKey?: string | undefined;
}

/** A line of an armored key that nothing else is likely to say. */
const keyLine = /^[A-Za-z0-9+/]{24,}=*$/;

/** Keeps both out of all that is said: of a key its body, as the lines around it are those of any key. */
export function registerUnlocking({ passphrase = "", secretKey = "" }: Unlocking): void {
    registerSecret(passphrase);
    for (const line of secretKey.split(/\r?\n/)) if (keyLine.test(line)) registerSecret(line);
}
