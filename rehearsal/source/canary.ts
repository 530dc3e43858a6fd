/** The test account that the migration itself uses: it is told to by the stack's configuration. */
import { MatrixClient } from "./matrixClient.ts";
import { register } from "./population/accounts.ts";
import { Chance } from "./population/random.ts";
import type { FilledHomeserver } from "./population.ts";

export interface Canary {
    /** Localpart. */
    readonly user: string;
    readonly password: string;
}

/** Registers the account; it has no device and no room. */
export async function registerCanary(homeserver: FilledHomeserver, seed: string): Promise<Canary> {
    const chance = new Chance(seed);
    const canary = { user: "migration-canary", password: `canary ${chance.word("canary", 16)}` };
    const site = {
        serverName: homeserver.serverName,
        client: new MatrixClient(homeserver.baseUrl),
        chance,
        registrationSharedSecret: homeserver.files.registrationSharedSecret,
    };
    await register(site, canary.user, canary.password);
    return canary;
}
