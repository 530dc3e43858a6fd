/** How a check of the moved homeserver ends, and how many like things are checked together. */
import { sortedJson } from "../source/sortedJson.ts";
import { inParallel } from "../source/population/parallel.ts";
import type { Expectations } from "../source/expectations.ts";
import type { MatrixClient } from "../source/matrixClient.ts";

/** What all checks need. */
export interface Checked {
    readonly expected: Expectations;
    /** Of the server under test, without an access token. */
    readonly client: MatrixClient;
}

/** One question to the server. */
export interface HomeserverCheck {
    readonly name: string;
    /** Problems, none when it passes, and what was looked at. May throw: that is a problem, too. */
    run(checked: Checked): Promise<Outcome>;
}

export interface Outcome {
    readonly problems: readonly string[];
    /** For example "12 users". */
    readonly seen: string;
}

/**
 * Asks the same about each item. What is thrown about one is its problem.
 *
 * No items at all is a problem: a check that looked at nothing must not pass.
 */
export async function forEach<Item>(
    what: string,
    items: readonly Item[],
    label: (item: Item) => string,
    ask: (item: Item) => Promise<readonly string[]>,
): Promise<Outcome> {
    const problems = await inParallel(items, async (item) => {
        try {
            return (await ask(item)).map((problem) => `${label(item)}: ${problem}`);
        } catch (error) {
            return [`${label(item)}: ${error instanceof Error ? error.message : String(error)}`];
        }
    });
    const nothing = items.length === 0 ? [`there were no ${what} to look at`] : [];
    return { problems: [...nothing, ...problems.flat()], seen: `${items.length} ${what}` };
}

/** The problem of two values that should be equal as JSON; none when they are. Values are not shown: they may be secret. */
export function differs(what: string, found: unknown, expected: unknown): string[] {
    const [one, other] = [sortedJson(found), sortedJson(expected)];
    if (one === other) return [];
    let at = 0;
    while (at < one.length && one[at] === other[at]) at++;
    return [`${what} differs (${one.length} and ${other.length} characters, from character ${at} on)`];
}

/** As a user's first device, with the token it had on the source. */
export function asUser({ client, expected }: Checked, userId: string): MatrixClient {
    const user = expected.users.find((one) => one.userId === userId);
    const [device] = user?.devices ?? [];
    if (device === undefined) throw new RangeError(`${userId} is not among the expected users`);
    return client.as(device.accessToken);
}
