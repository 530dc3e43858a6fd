import { expect } from "chai";
import { databaseChecks } from "../../../engine/assess/databaseChecks.ts";
import { testCluster, type TestCluster } from "../../support/cluster.ts";
import { findingsOf } from "./runCheck.ts";

describe("the encoding and the collation of a source's database", function () {
    this.timeout(180_000);
    let cluster: TestCluster;

    before(async () => {
        cluster = await testCluster();
    });

    /** What is found in a database that is made so, where nobody looks at its tables. */
    const foundIn = async (encoding: string, locale: string, provider = ""): Promise<string[]> => {
        const name = cluster.newName();
        await cluster.query(
            "postgres",
            `CREATE DATABASE ${name} OWNER synapse TEMPLATE template0 ENCODING '${encoding}' LC_COLLATE '${locale}' LC_CTYPE '${locale}' ${provider}`,
        );
        const found = await findingsOf(databaseChecks, "database-server", cluster.address(name));
        return found.map(({ id, severity, evidence }) => `${id} ${severity} ${evidence.split(": ").at(-1) ?? ""}`);
    };

    it("are as Synapse wants them in UTF8 and C", async () => {
        expect(await foundIn("UTF8", "C")).to.deep.equal([]);
    });

    it("are refused with SM-E0501 in another encoding, in which no Synapse runs", async () => {
        expect(await foundIn("LATIN1", "C")).to.deep.equal(["SM-E0501 error encoding LATIN1"]);
    });

    it("are warned of with SM-W0501 in another collation", async () => {
        expect(await foundIn("UTF8", "C.UTF-8")).to.deep.equal([
            "SM-W0501 warning collation C.UTF-8, character type C.UTF-8",
        ]);
    });

    it("are warned of with SM-W0501 where ICU sorts, whatever LC_COLLATE says", async () => {
        expect(await foundIn("UTF8", "C", "LOCALE_PROVIDER icu ICU_LOCALE 'en-US'")).to.deep.equal([
            "SM-W0501 warning collation C, character type C, sorted by icu en-US",
        ]);
    });
});
