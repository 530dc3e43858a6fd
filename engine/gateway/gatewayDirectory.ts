/** Makes the directory of a gateway one that its process can read and only we can write: it tells us whom to signal, and the world what to see. */
import type { ServiceUser } from "../machines/serviceUser.ts";
import { holdDirectory, holdShaped, type HeldDirectory } from "../run/heldDirectory.ts";

/**
 * Opens the directory, to be worked in by its descriptor; one that an earlier version gave to the user is taken back.
 *
 * @param user  whom the gateway becomes once it listens
 * @param make  whether it is made when it is missing
 * @throws MigrationError SM-E1207 when it is a link, or somebody else's
 */
export async function holdGatewayDirectory(
    directory: string,
    user: ServiceUser | undefined,
    make: boolean,
): Promise<HeldDirectory> {
    if (!make) await (await holdDirectory(directory)).close();
    return holdShaped(
        directory,
        user === undefined
            ? { mode: 0o700 }
            : { mode: 0o750, owner: { uid: process.geteuid?.() ?? 0, gid: user.gid }, takenFrom: [user.uid] },
    );
}
