import { expect } from "chai";
import { assessContract, databaseContract } from "../../../contract/index.ts";
import { localTarget, localTargetSchema } from "../../../components/targets/local/layout.ts";
import { declare, target } from "../stacks.ts";

const existing = {
    kind: "existing",
    host: "db.example.org",
    name: "matrix",
    owner: "matrix",
    adminPasswordFile: "/etc/admin-password",
};

describe("localTarget", () => {
    it("keeps everything below the target's directory", () => {
        const layout = localTarget(localTargetSchema.parse(target));
        expect(layout).to.deep.include({
            directory: "/srv/target",
            mediaStore: "/srv/target/media_store",
            gateway: { directory: "/srv/target/gateway", listener: { bindAddress: "127.0.0.1", port: 0 } },
        });
        expect(layout.database.server).to.include({ kind: "managed", directory: "/srv/target/postgres", port: 0 });
    });

    it("has the programs of a database server that is yet to be made assessed before anything is made", async () => {
        const { recording } = await declare({ phase: "stage" });
        expect(assessContract.spec.parse(recording.spec("assess")).targetServer).to.deep.include({
            kind: "managed",
            programs: "/usr/lib/postgresql/15/bin",
        });
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
        const { server } = databaseContract.spec.parse(recording.spec("database"));
        expect(assessContract.spec.parse(recording.spec("assess")).targetServer).to.deep.equal(server);
    });
});
