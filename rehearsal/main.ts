/** `npm start`: a real homeserver is made, moved, checked and taken away again. */
import { dirname } from "node:path";
import { Command, InvalidArgumentError, Option } from "commander";
import { z } from "zod";
import { MigrationError, MigrationErrors } from "../engine/run/errors.ts";
import { lineProgress } from "../engine/run/progress.ts";
import { redact } from "../engine/run/redaction.ts";
import { rehearse } from "./rehearsal.ts";
import { isRouteName, routeNames, routes } from "./routes/routes.ts";

/** Of the route that has servers on both sides. */
const copyModes = ["archive", "direct", "replicate"] as const;
const options = z.object({
    users: z.number(),
    rooms: z.number(),
    messages: z.number(),
    seed: z.string(),
    route: z.string().refine(isRouteName),
    copy: z.enum(copyModes).optional(),
    sourcePython: z.string().startsWith("/").optional(),
    keep: z.boolean().default(false),
});
/** Each of them is a reason to clean up and go. */
const interruptions = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
const interrupted = 130;

const wholeNumber =
    (smallest: number) =>
    (text: string): number => {
        const number = Number(text);
        if (!/^\d{1,6}$/.test(text) || number < smallest)
            throw new InvalidArgumentError(`must be a whole number from ${smallest} on`);
        return number;
    };

const routeList = Object.entries(routes)
    .map(([name, { description }]) => `${name}: ${description}`)
    .join("\n");

async function main(): Promise<number> {
    const command = new Command("npm start --")
        .description("Moves a homeserver made for the purpose with `pulumi up`, and proves that it is the same server.")
        .option("--users <number>", "users, from 3 on", wholeNumber(3), 12)
        .option("--rooms <number>", "rooms, from 4 on: one of each kind", wholeNumber(4), 8)
        .option("--messages <number>", "messages over all rooms", wholeNumber(1), 300)
        .option("--seed <text>", "the same seed makes the same texts and passwords", "rehearsal")
        .addOption(new Option("--route <name>", `how it is moved:\n${routeList}`).choices(routeNames).default("local"))
        .addOption(new Option("--copy <mode>", "how the database travels, on route local").choices(copyModes))
        .option("--source-python <path>", "Python with the source's Synapse, where that is of another version")
        .option("--keep", "leave source, target and stack running")
        .parse();
    const { copy, route } = options.parse(command.opts());
    if (copy !== undefined && route !== "local") command.error(`error: --copy is for route local, not for ${route}`);
    const aborter = new AbortController();
    const progress = lineProgress("rehearsal", (line) => process.stderr.write(`${line}\n`), redact);
    for (const signal of interruptions) {
        process.on(signal, () => {
            progress.say(aborter.signal.aborted ? "still cleaning up" : `${signal}: cleaning up`);
            aborter.abort(new Error(`interrupted by ${signal}`));
        });
    }
    try {
        const { report, checks, timings } = await rehearse({
            ...options.parse(command.opts()),
            projectDirectory: dirname(import.meta.dirname),
            progress,
            signal: aborter.signal,
        });
        const lines = [timings, "", `${checks} checks of the moved homeserver passed.`, `report: ${report.html}`];
        process.stdout.write(`${lines.join("\n")}\n        ${report.markdown}\n        ${report.json}\n`);
        return 0;
    } catch (error) {
        const leftBehind = error instanceof MigrationError && error.code === "SM-E1191";
        if (aborter.signal.aborted && !leftBehind) {
            process.stderr.write("interrupted; see above for what was kept, if anything\n");
            return interrupted;
        }
        return complain(error);
    }
}

function complain(error: unknown): number {
    if (error instanceof MigrationError || error instanceof MigrationErrors) {
        process.stderr.write(`\n${redact(error.block)}\n`);
        return error.exitCode;
    }
    process.stderr.write(`\n${redact(error instanceof Error ? (error.stack ?? error.message) : String(error))}\n`);
    return 1;
}

process.exitCode = await main();
