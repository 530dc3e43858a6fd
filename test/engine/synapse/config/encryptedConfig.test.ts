import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { readHomeserverConfig } from "../../../../engine/synapse/config/homeserverConfig.ts";
import { expectError } from "../../../support/expectError.ts";

describe("a configuration that is no text of Synapse's", () => {
    let directory: string;
    beforeEach(async () => {
        directory = await mkdtemp(join(tmpdir(), "synapse-config-"));
    });
    afterEach(() => rm(directory, { recursive: true, force: true }));

    const cases: readonly (readonly [string, string, string | Buffer])[] = [
        ["git-crypt", "git-crypt unlock", Buffer.from("\0GITCRYPT\0\x01\xfe\x92", "latin1")],
        ["ansible-vault", "ansible-vault view", "$ANSIBLE_VAULT;1.1;AES256\n6162636465\n"],
        [
            "sops",
            "sops --decrypt",
            "server_name: ENC[AES256_GCM,data:x,type:str]\nsops:\n  mac: ENC[x]\n  version: 3.8.1\n",
        ],
        ["sops", "sops --decrypt", '{\n\t"data": "ENC[AES256_GCM,data:abc,type:str]"}'],
        ["age", "age --decrypt", "-----BEGIN AGE ENCRYPTED FILE-----\nYWdl\n"],
        ["GnuPG", "gpg --decrypt", Buffer.from([0x85, 0x01, 0x0c, 0x03, 0xff])],
        ["GnuPG", "gpg --decrypt", "-----BEGIN PGP MESSAGE-----\n\nhQEM\n"],
    ];
    for (const [what, command, content] of cases)
        it(`is named as encrypted by ${what}, with the command that decrypts it (SM-E0228)`, async () => {
            const path = join(directory, "homeserver.yaml");
            await writeFile(path, content);
            const { detail } = await expectError("SM-E0228", () => readHomeserverConfig([path]));
            expect(detail.where).to.equal(path);
            expect(detail.found).to.contain(`encrypted by ${what}`);
            expect(detail.fix).to.contain(command);
        });

    it("is not called encrypted for a section named sops or a text that mentions a vault", async () => {
        const path = join(directory, "homeserver.yaml");
        await writeFile(
            path,
            "# $ANSIBLE_VAULT;\nserver_name: example.org\nsops: {x: 1}\ndatabase: {name: psycopg2, args: {user: s}}\n",
        );
        expect((await readHomeserverConfig([path])).serverName).to.equal("example.org");
    });
});
