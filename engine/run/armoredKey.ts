/** What of an armored OpenPGP key is secret: its body, as the lines around it are those of any key. */

/** A line of an armored key that nothing else is likely to say. */
const bodyLine = /^[A-Za-z0-9+/]{24,}=*$/;

export function armoredBody(key: string): string[] {
    return key.split(/\r?\n/).filter((line) => bodyLine.test(line));
}
