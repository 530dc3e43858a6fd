/** A process that is connected to the database of a source until it is killed: `sourceOwner.ts <source as JSON>`. Says when it is. */
import { selfHostedSource } from "../../contract/source.ts";
import { withClient } from "../../engine/postgres/connection.ts";
import { sourceAddress } from "../../engine/postgres/databases/sourceDatabase.ts";

const source = selfHostedSource.parse(JSON.parse(process.argv[2] ?? ""));
await withClient(await sourceAddress(source), { step: "test", statementSeconds: 0 }, async (client) => {
    process.stdout.write("connected\n");
    await client.query("SELECT pg_sleep(600)");
});
