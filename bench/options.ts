/** What `npm run bench` may be told. */
import { Command, InvalidArgumentError } from "commander";
import { z } from "zod";
import { eventsOf } from "./data/shape.ts";

/** Parts of a bench: the ways that move a database, and what is measured beside them. */
const partNames = [
    "a1",
    "a2",
    "bundle",
    "bundle-compared",
    "directory",
    "pgcopydb",
    "direct",
    "load",
    "limits",
    "downtime",
    "downtime-strict",
    "calibration",
    "media-ssh",
    "database-ssh",
    "database-ssh-port",
] as const;
/** As root only, and with an sshd: they are measured where they are asked for. */
const partsByName = ["media-ssh", "database-ssh", "database-ssh-port"];
type PartName = (typeof partNames)[number];
const isPart = (name: string): name is PartName => partNames.some((part) => part === name);

const shape = z.object({
    only: z.array(z.enum(partNames)).min(1),
    size: z.array(z.number().int()).min(1),
    rounds: z.number().int().min(1),
    jobs: z.number().int().min(1),
    files: z.number().int().min(100),
    sameVersion: z.boolean().default(false),
    output: z.string().optional(),
});
export type BenchOptions = z.infer<typeof shape>;

/** The process's end is commander's where they are not understood. */
export function readOptions(argv: readonly string[], cores: number): BenchOptions {
    const command = new Command("npm run bench --")
        .description("Measures ways to move a Synapse database, on a generated one, beside each other.")
        .option(
            "--only <parts>",
            `comma-separated: ${partNames.join(", ")}`,
            parts,
            partNames.filter((name) => !partsByName.includes(name)),
        )
        .option("--size <sizes>", "comma-separated: S, L, or a number of events", sizes, [eventsOf("S")])
        .option("--rounds <number>", "how often each way runs", wholeNumber, 3)
        .option("--jobs <number>", "processes or connections of a way at a time", wholeNumber, Math.min(cores, 8))
        .option("--files <number>", "of the media store that is copied over ssh", fileCount, 20_000)
        .option("--same-version", "replicate into a server of the source's version, not into PostgreSQL 18")
        .option("--output <directory>", "where bench.json, bench.md and the charts are written")
        .parse(argv, { from: "user" });
    return shape.parse(command.opts());
}

function parts(text: string): PartName[] {
    const names = text.split(",");
    const known = names.filter(isPart);
    if (known.length < names.length) throw new InvalidArgumentError(`known are ${partNames.join(", ")}`);
    return known;
}

/** Smallest first, as results are shown. */
function sizes(text: string): number[] {
    try {
        return [...new Set(text.split(",").map(eventsOf))].sort((a, b) => a - b);
    } catch (error) {
        throw new InvalidArgumentError(error instanceof Error ? error.message : String(error));
    }
}

function wholeNumber(text: string): number {
    if (!/^[1-9]\d{0,2}$/.test(text)) throw new InvalidArgumentError("must be a whole number from 1 on");
    return Number(text);
}

function fileCount(text: string): number {
    if (!/^[1-9]\d{2,6}$/.test(text)) throw new InvalidArgumentError("must be a whole number from 100 to 9999999");
    return Number(text);
}
