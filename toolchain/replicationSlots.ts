/** Whether a stack's source still has a replication slot that nobody reads: what a migration that was given up may have left. */
import { readFile } from "node:fs/promises";
import { parse } from "yaml";
import { z } from "zod";
import { MigrationError } from "../engine/run/errors.ts";
import { listSlots, slotLines } from "../engine/postgres/replication/forgottenSlots.ts";
import { configuredAddress } from "../engine/postgres/databases/sourceDatabase.ts";

const paths = z.preprocess((value) => (typeof value === "string" ? [value] : value), z.array(z.string()).min(1));
const stackFile = z.object({
    config: z.object({
        "synapse-migration:source": z.object({ kind: z.literal("selfHosted"), homeserverConfig: paths }),
    }),
});

export interface SlotsOfSource {
    /** What was seen; undefined where there is no server to ask. */
    readonly seen: string | undefined;
    readonly problem: MigrationError | undefined;
}

/** @param file  the stack's file, `stacks/Pulumi.<stack>.yaml` */
export async function slotsOfSource(file: string): Promise<SlotsOfSource> {
    const stack = stackFile.safeParse(parse(await readFile(file, "utf8")));
    if (!stack.success) return { seen: undefined, problem: undefined };
    const { homeserverConfig } = stack.data.config["synapse-migration:source"];
    try {
        const slots = await listSlots(await configuredAddress(homeserverConfig));
        const forgotten = slots.filter(({ active }) => !active);
        const seen = slotLines(slots).join("; ");
        if (forgotten.length === 0) return { seen, problem: undefined };
        const names = forgotten.map(
            ({ name }) => `npx synapse-migrate slots --config ${homeserverConfig.join(" ")} --drop ${name}`,
        );
        return {
            seen,
            problem: new MigrationError("SM-E1308", {
                where: `the source of ${file}`,
                found: slotLines(forgotten).join("\n"),
                expected: "no slot that nobody reads",
                fix: `is a migration still to go on? Then declare its stack again; else \`pulumi destroy\` its stack, or: ${names.join("; ")}`,
            }),
        };
    } catch (error) {
        if (!(error instanceof MigrationError)) throw error;
        return { seen: `could not be asked: ${error.detail.found.split("\n")[0] ?? ""}`, problem: undefined };
    }
}
