/** A homeserver's whole way from SQLite into PostgreSQL, with real Synapse on both sides. */
import { readdirSync, readFileSync } from "node:fs";
import { expect } from "chai";
import { parse } from "yaml";
import { z } from "zod";
import { checkHomeserver } from "../../../rehearsal/check.ts";
import { matrixPath, MatrixClient } from "../../../rehearsal/source/matrixClient.ts";
import { writePrivateFile } from "../../../engine/run/atomicFile.ts";
import { serviceUser } from "../../../engine/machines/serviceUser.ts";
import type { DatabaseAddress } from "../../../engine/postgres/connection.ts";
import { lineProgress } from "../../../engine/run/progress.ts";
import { repairPorted, type PortRepairs } from "../../../engine/sqlite/repair.ts";
import { expectError } from "../../support/expectError.ts";
import { portedSource, type PortedSource } from "./portedSource.ts";
import type { SqliteSource } from "./sqliteSource.ts";
import { untilTrue } from "../../support/waiting.ts";

describe("a homeserver that leaves SQLite", function () {
    this.timeout(180_000);
    let ported: PortedSource;
    let repaired: string;
    let repairs: PortRepairs;

    before(async () => {
        ported = await portedSource();
        repaired = await ported.clone();
        repairs = await repairPorted(ported.cluster.address(repaired));
    });

    it("is ported by Synapse's own script, with progress, and with what it drops counted", () => {
        expect(ported.said).to.include("Copying to postgres...");
        expect(ported.ported.dropped).to.deep.equal([{ table: "blocked_rooms", column: "room_id", rows: 1 }]);
    });

    it("leaves no file with the database's password behind", () => {
        expect(readdirSync(ported.source.directory).filter((name) => name.endsWith(".yaml"))).to.deep.equal([]);
    });

    it("does not start on what the script leaves, however often it is tried: pushers_sequence", async () => {
        const { source, cluster, clone } = ported;
        await useDatabase(source, cluster.address(await clone()));
        try {
            for (const attempt of [1, 2]) {
                const { detail } = await expectError("SM-E1101", () => source.homeserver.startAgain());
                expect(detail.found, `attempt ${attempt}`).to.include("stream_name = 'pushers'");
            }
        } finally {
            await source.homeserver.stop();
        }
    });

    it("has its sequences repaired, each with the reason, and hands out the same numbers", () => {
        const byName = new Map(repairs.sequences.map((repair) => [repair.sequence, repair]));
        expect(byName.get("public.pushers_sequence")?.why).to.match(/^behind what it numbers/);
        expect(byName.get("public.device_inbox_sequence")?.from).to.match(/\(not called\)$/);
        expect(byName.get("public.presence_stream_sequence")).to.include({ from: "2 (not called)", to: "1" });
    });

    it("needs no repair after the repair", async () => {
        expect(await repairPorted(ported.cluster.address(repaired))).to.deep.equal({ sequences: [], queued: [] });
        expect(await ported.cluster.query(repaired, "SELECT to_regclass('port_from_sqlite3') AS left")).to.deep.equal([
            { left: null },
        ]);
    });

    it("is the same homeserver for its people: tokens, history, keys, to-device messages, media", async () => {
        const { source, cluster } = ported;
        await useDatabase(source, cluster.address(repaired));
        await source.homeserver.startAgain();
        try {
            const { baseUrl } = source.homeserver;
            const progress = lineProgress("check", () => undefined, String);
            const results = await checkHomeserver({ baseUrl, expectations: source.expectations, progress });
            expect(results.filter(({ passed }) => !passed)).to.deep.equal([]);
            await findsEverybody(source);
        } finally {
            await source.homeserver.stop();
        }
    });
});

/** Has the source's Synapse use a PostgreSQL database from its next start on. */
async function useDatabase({ homeserver }: SqliteSource, address: DatabaseAddress): Promise<void> {
    const { configFile } = homeserver.files;
    const config = z.record(z.string(), z.unknown()).parse(parse(readFileSync(configFile, "utf8")));
    const { host, port, name: dbname, user, password } = address;
    config["database"] = { name: "psycopg2", args: { host, port, dbname, user, password } };
    const owner = serviceUser();
    await writePrivateFile(configFile, JSON.stringify(config), owner === undefined ? {} : { owner });
}

/** The user directory was empty after the port; Synapse fills it in the background. */
async function findsEverybody({ homeserver, expectations }: SqliteSource): Promise<void> {
    const [searcher, sought] = expectations.users;
    const token = searcher?.devices[0]?.accessToken;
    if (sought === undefined || token === undefined) throw new Error("the population has two users");
    const client = new MatrixClient(homeserver.baseUrl).as(token);
    const shape = z.object({ results: z.array(z.object({ user_id: z.string() })) });
    const search = async (): Promise<string[]> =>
        (
            await client.post(
                matrixPath`/_matrix/client/v3/user_directory/search`,
                { search_term: sought.displayName },
                shape,
            )
        ).results.map(({ user_id }) => user_id);
    await untilTrue(async () => (await search()).includes(sought.userId));
}
