/** The homeserver that a population is made in, and who is on it. */
import type { ExpectedMedia } from "../expectations.ts";
import type { MatrixClient } from "../matrixClient.ts";
import type { Chance } from "./random.ts";

/** The homeserver that is filled. */
export interface Site {
    readonly serverName: string;
    /** Without an access token. */
    readonly client: MatrixClient;
    readonly chance: Chance;
    readonly registrationSharedSecret: string;
}

export interface Account {
    readonly index: number;
    readonly userId: string;
    readonly password: string;
    readonly displayName: string;
    readonly avatar: ExpectedMedia;
    readonly devices: readonly {
        readonly deviceId: string;
        readonly displayName: string;
        readonly accessToken: string;
    }[];
    /** As the first device. */
    readonly client: MatrixClient;
}
