/** Which versions the set-up installs and accepts. */

/** The Pulumi CLI: the version of the npm package `pulumi` in package.json, which a test compares. */
export const pulumiVersion = "3.250.0";
/** What a CLI must be, as Pulumi's engine understands it. */
export const pulumiRange = `>=${pulumiVersion} <4.0.0`;
/** The package `@pulumi/pulumi` of package.json. */
export const pulumiSdkVersion = "3.248.0";
/** That of `engines` in package.json. */
export const oldestNode = "20.19.0";
/** The resource plugin `command`: the version of `@pulumi/command` in package.json. */
export const commandPluginVersion = "1.2.1";
/** Synapse of the rehearsal; also in synapse-requirements.txt. */
export const synapseVersion = "1.163.2";
/** versitygw, the S3 server of the tests: the version in versitygw/go.mod, which a test compares. */
export const s3ServerVersion = "1.8.0";
/** The package that is installed where no PostgreSQL is found: what Debian 12 ships. */
export const postgresPackage = "postgresql-15";
/** Synapse 1.163 refuses older servers (synapse/storage/engines/postgres.py). */
export const oldestPostgresMajor = 14;
/** Synapse 1.163 needs it (its `requires_python`). */
export const oldestPython: readonly [number, number] = [3, 10];

/** Whether version `found` is at least `oldest`, compared number by number; what follows a `-` or `+` is passed over. */
export function isAtLeast(found: string, oldest: string): boolean {
    const numbers = (version: string): number[] =>
        (version.replace(/^v/, "").split(/[-+]/)[0] ?? "").split(".").map(Number);
    const [left, right] = [numbers(found), numbers(oldest)];
    for (let index = 0; index < Math.max(left.length, right.length); index++) {
        const difference = (left[index] ?? 0) - (right[index] ?? 0);
        if (Number.isNaN(difference)) return false;
        if (difference !== 0) return difference > 0;
    }
    return true;
}
