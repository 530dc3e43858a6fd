import { expect } from "chai";
import { chooseServiceUser, serviceUser } from "../../../engine/machines/serviceUser.ts";

describe("the user that servers of ours run as", () => {
    const passwd = [
        "root:x:0:0:root:/root:/bin/bash",
        "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin",
        "postgres:x:101:104::/var/lib/postgresql:/bin/bash",
    ];

    it("is Synapse's own where there is one, else PostgreSQL's, else nobody", () => {
        const synapse = "matrix-synapse:x:102:65534::/var/lib/matrix-synapse:/usr/sbin/nologin";
        expect(chooseServiceUser([...passwd, synapse].join("\n"))).to.deep.equal({ uid: 102, gid: 65534 });
        expect(chooseServiceUser(passwd.join("\n"))).to.deep.equal({ uid: 101, gid: 104 });
        expect(chooseServiceUser(passwd.slice(0, 2).join("\n"))).to.deep.equal({ uid: 65534, gid: 65534 });
        expect(chooseServiceUser("")).to.deep.equal({ uid: 65534, gid: 65534 });
    });

    it("is never root, whatever a line claims", () => {
        expect(chooseServiceUser("matrix-synapse:x:0:0::/:/bin/sh\npostgres:x:101:0::/:/bin/sh")).to.deep.equal({
            uid: 65534,
            gid: 65534,
        });
    });

    it("is ourselves when we are not root", () => {
        expect(serviceUser() === undefined).to.equal(process.getuid?.() !== 0);
    });
});
