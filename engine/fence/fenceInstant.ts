/** When the downtime began. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { fenceContract, fencedAtAction, instant } from "../../contract/index.ts";
import { parseJson } from "../run/parseJson.ts";
import { clockShifts, shifted, type Reading } from "../run/steadyClock.ts";
import type { StepRun } from "../run/step.ts";

/**
 * When the source was fenced, as the clock has it now: it may have been set since. Undefined in a rehearsal that fences nothing.
 *
 * @param now  what the clocks say
 */
export async function fenceInstant(run: StepRun, now: Reading): Promise<string | undefined> {
    const text = await readFile(join(run.directory, "fence-token.json"), "utf8").catch(() => undefined);
    const token = z.looseObject({ fencedAt: instant }).safeParse(text === undefined ? undefined : parseJson(text));
    if (!token.success) return undefined;
    const records = await run.journal.read();
    const told = records.findLastIndex(({ step, action }) => step === fenceContract.name && action === fencedAtAction);
    return shifted(token.data.fencedAt, clockShifts([...records, now])[told] ?? 0);
}
