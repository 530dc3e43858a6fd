/**
 * Loaded into every step of a stack under test (`NODE_OPTIONS=--import`): sets the wall clock of its process ahead by what the file named by
 * `SYNAPSE_MIGRATION_TEST_CLOCK` holds, in milliseconds. The monotonic clock stays as it is, as when a machine's time is set.
 */
import { readFileSync } from "node:fs";

const ahead = milliseconds(process.env.SYNAPSE_MIGRATION_TEST_CLOCK);

if (ahead !== 0 && /steps\/(cli\.ts|synapse-migrate\.mjs)$/.test(process.argv[1] ?? "")) {
    const TrueDate = Date;
    globalThis.Date = class extends TrueDate {
        constructor(...given) {
            if (given.length === 0) super(TrueDate.now() + ahead);
            else super(...given);
        }

        static now() {
            return TrueDate.now() + ahead;
        }
    };
}

function milliseconds(path) {
    try {
        return Number(readFileSync(path, "utf8"));
    } catch {
        return 0;
    }
}
