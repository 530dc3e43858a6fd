/** How tests wait for what another process does in its own time. */
import { until } from "../../engine/run/until.ts";

const patience = { seconds: 30, everyMilliseconds: 20 };

/** @throws Error when it is not so after half a minute */
export async function untilTrue(condition: () => Promise<boolean>): Promise<void> {
    await until(
        async () => (await condition()) || undefined,
        patience,
        () => new Error(`it did not come to it within ${patience.seconds} s`),
    );
}

/** Repeats what fails until it does not, for at most ten seconds; then fails as it did last. */
export async function untilItPasses<T>(attempt: () => Promise<T>): Promise<T> {
    let failure: unknown;
    const passed = await until(
        async () => {
            try {
                return { value: await attempt() };
            } catch (error) {
                failure = error;
                return undefined;
            }
        },
        { ...patience, seconds: 10 },
    );
    if (passed === undefined) throw failure;
    return passed.value;
}
