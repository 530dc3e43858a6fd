/** `\connect` as pg_dump and pg_dumpall write it: a name, or for a name with other signs in it a connection string. */

/** @param argument  behind `\connect` */
export function connectedDatabase(argument: string): string {
    const plain = argument.replace(/^-reuse-previous=on /, "");
    const name = plain.startsWith('"') && plain.endsWith('"') ? plain.slice(1, -1).replaceAll('""', '"') : plain;
    if (plain === argument) return name;
    const [, value = name] = /^dbname='(.*)'$/s.exec(name) ?? [];
    return value.replaceAll(/\\(.)/gs, "$1");
}
