import { expect } from "chai";
import { chooseServiceUser, serviceUser } from "../../../engine/machines/serviceUser.ts";
import { expectError } from "../../support/expectError.ts";

describe("the user that servers of ours run as", () => {
    const passwd = [
        "root:x:0:0:root:/root:/bin/bash",
        "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin",
        "postgres:x:101:104::/var/lib/postgresql:/bin/bash",
    ];

    it("is Synapse's own where there is one, else nobody, and never the superuser of PostgreSQL", () => {
        const own = "matrix-synapse:x:102:65534::/var/lib/matrix-synapse:/usr/sbin/nologin";
        const other = "synapse:x:103:103::/:/usr/sbin/nologin";
        expect(chooseServiceUser([...passwd, other, own].join("\n"))).to.include({ name: "matrix-synapse", uid: 102 });
        expect(chooseServiceUser([...passwd, other].join("\n"))).to.include({ name: "synapse", uid: 103, gid: 103 });
        expect(chooseServiceUser(passwd.join("\n"))).to.include({ name: "nobody", uid: 65534, gid: 65534 });
        expect(chooseServiceUser("")).to.include({ name: "nobody", uid: 65534, gid: 65534 });
    });

    it("is never root or of its group, and never postgres under another name, whatever a line claims", () => {
        const lines = ["matrix-synapse:x:0:0::/:/bin/sh", "synapse:x:101:104::/:/bin/sh"];
        expect(chooseServiceUser([...passwd, ...lines].join("\n"))).to.include({ name: "nobody" });
    });

    it("is the configured one; root, postgres and unknown ones are refused with SM-E1208, which says how to make one", async () => {
        const users = [...passwd, "homeserver:x:900:900::/:/bin/sh", "alias:x:101:900::/:/bin/sh"].join("\n");
        expect(chooseServiceUser(users, "homeserver")).to.deep.equal({ name: "homeserver", uid: 900, gid: 900 });
        const refused = { root: /^root$/, postgres: /superuser/, alias: /superuser/, unknown: /does not know/ };
        for (const [name, found] of Object.entries(refused)) {
            const error = await expectError("SM-E1208", () => Promise.resolve(chooseServiceUser(users, name)));
            expect(error.detail.found, name).to.match(found);
            expect(error.block).to.contain("useradd --system --no-create-home");
        }
    });

    it("is ourselves when we are not root", () => {
        expect(serviceUser() === undefined).to.equal(process.getuid?.() !== 0);
    });
});
