import { expect } from "chai";
import { largeObjectsFingerprint, tableFingerprints } from "../../../../engine/postgres/compare/fingerprint.ts";
import { compareDefinitions, readDefinitions } from "../../../../engine/postgres/catalogue/catalogue.ts";
import { withClient } from "../../../../engine/postgres/connection.ts";
import { tableLineDigests } from "../../../../engine/postgres/plainDump/lineDigest.ts";
import { readSequences } from "../../../../engine/postgres/sequences/sequences.ts";
import { testCluster, type TestCluster } from "../../../support/cluster.ts";

/** Each is a better match for a call of ours than PostgreSQL's own, where `public` is searched at all. */
const liars: Readonly<Record<string, string>> = {
    "a function that hashes text": `CREATE FUNCTION public.hashtextextended(text, integer) RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT 7::bigint'`,
    "a function that hashes numbers": `CREATE FUNCTION public.hashint8extended(integer, bigint) RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT 7::bigint';
        CREATE FUNCTION public.hashint8extended(bigint, bigint) RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT 7::bigint'`,
    "an operator that takes hashes together": `CREATE FUNCTION public.same(bigint, bigint) RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT 7::bigint';
        CREATE OPERATOR public.# (LEFTARG = bigint, RIGHTARG = bigint, FUNCTION = public.same)`,
    "an aggregate that sums": `CREATE FUNCTION public.same(numeric, bigint) RETURNS numeric LANGUAGE sql IMMUTABLE AS 'SELECT 7::numeric';
        CREATE AGGREGATE public.sum(bigint) (SFUNC = public.same, STYPE = numeric, INITCOND = '7')`,
    "an aggregate that counts": `CREATE FUNCTION public.same(bigint) RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT 7::bigint';
        CREATE AGGREGATE public.count(*) (SFUNC = public.same, STYPE = bigint, INITCOND = '7')`,
    "a type that is called text": `CREATE DOMAIN public.text AS pg_catalog.text CHECK (VALUE = '7')`,
    "a view that is called as a catalogue": `CREATE VIEW public.pg_class AS SELECT * FROM pg_catalog.pg_class WHERE false`,
    "a function that describes columns": `CREATE FUNCTION public.format_type(oid, integer) RETURNS text LANGUAGE sql AS $$SELECT 'text'::text$$;
        CREATE FUNCTION public.pg_get_constraintdef(oid) RETURNS text LANGUAGE sql AS $$SELECT 'no'::text$$`,
};

describe("what a database says of its own rows", function () {
    this.timeout(120_000);
    let cluster: TestCluster;

    before(async () => {
        cluster = await testCluster();
    });

    /** A database with one row, whose owner has made what lies, and has `public` searched before PostgreSQL's own catalogue. */
    const madeWith = async (row: string, lie: string): Promise<string> => {
        const name = await cluster.createDatabase("empty", cluster.newName("liar"));
        await cluster.query(
            name,
            `CREATE TABLE public.t (id bigint PRIMARY KEY, small integer CHECK (small > 0), note text); INSERT INTO public.t VALUES ${row};
            ${lie};`,
            "synapse",
        );
        await cluster.query(name, `ALTER DATABASE ${name} SET search_path = public, pg_catalog`, "synapse");
        return name;
    };

    /** As the role that owns it, and as one with more rights. */
    const seen = async (name: string, user: string) => {
        const address = cluster.address(name, user);
        const session = { step: "test", jobs: 1 };
        return {
            rows: (await tableFingerprints(address, session)).map(({ rows, hash }) => ({ rows, hash })),
            lines: await tableLineDigests(address, [{ schema: "public", name: "t", columns: ["id", "note"] }], session),
            definitions: await withClient(address, session, readDefinitions),
            sequences: await withClient(address, session, readSequences),
            large: await withClient(address, session, largeObjectsFingerprint),
        };
    };

    it("is told by the type's own output and not by a cast that its owner has made", async () => {
        const hashes: string[] = [];
        for (const word of ["as it was", "altered"]) {
            const name = await cluster.createDatabase("empty", cluster.newName("liar"));
            await cluster.query(
                name,
                `CREATE TYPE public.word AS (word text); CREATE TABLE public.t (word public.word, mood public.word[]);
                CREATE FUNCTION public.say(public.word) RETURNS text LANGUAGE sql AS $$SELECT 'always the same'$$;
                CREATE CAST (public.word AS text) WITH FUNCTION public.say(public.word) AS IMPLICIT;
                INSERT INTO public.t VALUES (ROW('${word}'), NULL)`,
                "synapse",
            );
            const [table] = await tableFingerprints(cluster.superuserAddress(name), { step: "test", jobs: 1 });
            hashes.push(table?.hash ?? "");
        }
        expect(hashes[0]).not.to.equal(hashes[1]);
    });

    for (const [title, lie] of Object.entries(liars))
        it(`is believed of no function, operator or type of its own: ${title}`, async () => {
            const [honest, other, none] = [
                await madeWith("(1, 1, 'as it was')", lie),
                await madeWith("(2, 2, 'altered')", lie),
                await madeWith("(1, 1, 'as it was')", "SELECT"),
            ];
            for (const user of ["synapse", "postgres"]) {
                const [one, two, plain] = [await seen(honest, user), await seen(other, user), await seen(none, user)];
                expect(one.rows, "the same row").to.deep.equal(plain.rows);
                expect(one.lines).to.deep.equal(plain.lines);
                expect(two.rows, "another row").not.to.deep.equal(one.rows);
                expect(two.lines).not.to.deep.equal(one.lines);
                expect({ ...one, ...{ rows: 0, lines: 0, definitions: 0 } }).to.deep.equal({
                    ...plain,
                    ...{ rows: 0, lines: 0, definitions: 0 },
                });
                const lost = compareDefinitions(plain.definitions, one.definitions);
                expect(lost.filter(({ difference }) => difference !== "extra")).to.deep.equal([]);
            }
        });
});
