/** What opens the encrypted files of a source. */
import { armoredBody } from "../../run/armoredKey.ts";
import { registerSecret } from "../../run/redaction.ts";

interface Unlocking {
    /** Of files that are encrypted with it, and of the secret key. */
    readonly passphrase?: string | undefined;
    /** Armored; of files that are encrypted to its public half. */
    readonly secretKey?: string | undefined;
}

/** Keeps both out of all that is said: of a key its body, as the lines around it are those of any key. */
export function registerUnlocking({ passphrase = "", secretKey = "" }: Unlocking): void {
    registerSecret(passphrase);
    for (const line of armoredBody(secretKey)) registerSecret(line);
}
