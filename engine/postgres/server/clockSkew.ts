/** How far the clock of a database server's machine is from this one's. */
import { z } from "zod";
import { queryOne, type Client } from "../connection.ts";

export interface ClockSkew {
    /** Seconds that the other clock is ahead; negative where it is behind. */
    readonly seconds: number;
    /** The truth is no further from {@link seconds} than this, however unevenly the way there and back took. */
    readonly uncertainty: number;
}

const samples = 5;

/** What the server's clock says while it answers, in seconds since 1970. Not `now()`, which is when the transaction began. */
export async function serverClock(client: Client): Promise<number> {
    const shape = z.object({ clock: z.coerce.number() });
    return (await queryOne(client, shape, "SELECT extract(epoch FROM clock_timestamp())::text AS clock")).clock;
}

/**
 * Asks several times and believes the answer that came fastest: it says most exactly when it was given. As in NTP, the other clock is taken to
 * have been read halfway between question and answer.
 *
 * @param ask  what another clock says, in seconds since 1970
 */
export async function clockSkew(ask: () => Promise<number>): Promise<ClockSkew> {
    let best: { seconds: number; roundTrip: number } | undefined;
    for (let sample = 0; sample < samples; sample++) {
        const [began, asked] = [performance.now(), Date.now()];
        const there = await ask();
        const roundTrip = (performance.now() - began) / 1000;
        if (best === undefined || roundTrip < best.roundTrip)
            best = { seconds: there - asked / 1000 - roundTrip / 2, roundTrip };
    }
    return { seconds: best?.seconds ?? 0, uncertainty: (best?.roundTrip ?? 0) / 2 };
}
