/** Waits for a new homeserver to have its database up to date: moving one that still does that is a special case. */
import { until } from "../../engine/run/until.ts";

const backgroundSeconds = 120;

/** @param query  runs a statement in the homeserver's database */
export async function backgroundUpdatesDone(query: (statement: string) => Promise<string>): Promise<void> {
    const pending = async (): Promise<string> => (await query("SELECT count(*) FROM background_updates")).trim();
    await until(
        async () => (await pending()) === "0" || undefined,
        { seconds: backgroundSeconds },
        async () => new Error(`Synapse has ${await pending()} background updates to do after ${backgroundSeconds} s`),
    );
}
