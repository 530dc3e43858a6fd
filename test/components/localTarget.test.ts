import { expect } from "chai";
import { databaseContract, targetDatabase } from "../../steps/contract.ts";
import { localTarget } from "../../components/targets/local.ts";
import { configWith, declare, target } from "./stacks.ts";

const existing = {
    kind: "existing",
    host: "db.example.org",
    name: "matrix",
    owner: "matrix",
    adminPasswordFile: "/etc/admin-password",
};

describe("localTarget", () => {
    it("keeps everything below the target's directory", () => {
        const layout = localTarget(configWith().target);
        expect(layout).to.deep.include({
            directory: "/srv/target",
            mediaStore: "/srv/target/media_store",
            gateway: { directory: "/srv/target/gateway", listener: { bindAddress: "127.0.0.1", port: 0 } },
        });
        expect(layout.database.server).to.include({ kind: "managed", directory: "/srv/target/postgres", port: 0 });
    });

    it("has nothing to assess where the database server is yet to be made", () => {
        expect(localTarget(configWith().target).assessedDatabase).to.equal(undefined);
    });

    it("takes a database server that is there, and has it assessed before anything is made", async () => {
        const changes = { phase: "stage", target: { ...target, database: existing } };
        const { recording } = await declare(changes);
        expect(databaseContract.spec.parse(recording.spec("database"))).to.deep.include({
            name: "matrix",
            owner: "matrix",
            server: {
                kind: "existing",
                host: "db.example.org",
                port: 5432,
                admin: "postgres",
                adminPasswordFile: "/etc/admin-password",
                programs: "/usr/lib/postgresql/15/bin",
                directory: "/srv/target/postgres",
            },
        });
        expect(targetDatabase.partial().parse(localTarget(configWith(changes).target).assessedDatabase)).to.include({
            host: "db.example.org",
            port: 5432,
            name: "matrix",
        });
    });
});
