import { expect } from "chai";
import { once } from "node:events";
import { withClient } from "../../../engine/postgres/connection.ts";
import { copyIn } from "../../../engine/postgres/copyIn.ts";
import { expectError } from "../../support/expectError.ts";
import { testCluster, type TestCluster } from "../../support/cluster.ts";

const megabyte = Buffer.from(`${"x".repeat(1023)}\n`.repeat(1024));

describe("rows that are copied in", function () {
    this.timeout(60_000);
    let cluster: TestCluster;
    let name: string;

    before(async function () {
        this.timeout(180_000);
        cluster = await testCluster();
        name = await cluster.createDatabase();
        await cluster.query(name, "CREATE TABLE lines (line text CHECK (line <> 'wrong'))", "synapse");
    });

    const copying = (chunks: (gone: Promise<unknown>, pid: number) => AsyncIterable<Buffer>) =>
        withClient(cluster.address(name), { step: "test" }, async (client) => {
            const [row] = (await client.query<{ pid: number }>("SELECT pg_backend_pid() AS pid")).rows;
            // The client hears of it in the same moment as the stream.
            const gone = once(client, "error");
            gone.catch(() => undefined);
            return copyIn(client, "COPY public.lines FROM STDIN", chunks(gone, row?.pid ?? 0));
        });

    it("are counted by the server", async () => {
        // eslint-disable-next-line @typescript-eslint/require-await
        const taken = await copying(async function* () {
            for (let count = 0; count < 3; count += 1) yield megabyte;
        });
        expect(taken).to.equal(3 * 1024);
    });

    it("end with SM-E1102 when the connection went before the next ones came, and are not written to it", async () => {
        const error = await expectError("SM-E1102", () =>
            copying(async function* (gone, pid) {
                yield megabyte;
                await cluster.query("postgres", `SELECT pg_terminate_backend(${pid})`);
                await gone;
                for (let count = 0; count < 5; count += 1) yield megabyte;
            }),
        );
        expect(error.detail.found).to.match(/terminat/);
    });

    it("end with the server's own reason when it refuses one while more wait to be sent", async () => {
        const error = await expectError("SM-E1104", () =>
            copying(async function* () {
                yield Buffer.from("wrong\n");
                for (let count = 0; count < 50; count += 1) {
                    await new Promise((resolve) => setImmediate(resolve));
                    yield megabyte;
                }
            }),
        );
        expect(error.detail.found).to.contain("lines_line_check");
    });
});
