/** The SQLite file of a source homeserver: what Synapse uses when nobody gave it a PostgreSQL database. */
import { z } from "zod";
import { runProgram } from "../../engine/machines/program.ts";
import { serviceUser } from "../../engine/machines/serviceUser.ts";
import type { SourceDatabase } from "./homeserver.ts";

const querySeconds = 30;
const program = `
import json, sqlite3, sys
question = json.load(sys.stdin)
connection = sqlite3.connect("file:" + question["file"] + "?mode=ro", uri=True, timeout=${querySeconds})
print(json.dumps(connection.execute(question["statement"]).fetchall()))
`;

/** Read with Python's own module, beside a Synapse that may be running. */
export class SourceSqlite implements SourceDatabase {
    public readonly synapse: { readonly file: string };

    constructor(
        file: string,
        private readonly python: string,
    ) {
        this.synapse = { file };
    }

    public async query(statement: string): Promise<{ readonly rows: readonly unknown[][] }> {
        const user = serviceUser();
        const { stdout } = await runProgram(this.python, ["-c", program], {
            workingDirectory: "/",
            input: JSON.stringify({ file: this.synapse.file, statement }),
            timeoutSeconds: querySeconds,
            ...(user === undefined ? {} : { user }),
        });
        return { rows: z.array(z.array(z.unknown())).parse(JSON.parse(stdout)) };
    }
}
