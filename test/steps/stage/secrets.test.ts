import { chmod, lstat, mkdir, readFile, readdir, symlink, truncate, writeFile, stat, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import type { z } from "zod";
import { secretsContract } from "../../../contract/index.ts";
import { serviceUser } from "../../../engine/machines/serviceUser.ts";
import { secrets } from "../../../steps/stage/secrets.ts";
import { parseSynapseYaml } from "../../../engine/synapse/config/pythonYaml.ts";
import { expectError } from "../../support/expectError.ts";
import {
    makeSource,
    plainConfig,
    seed,
    signingKeyLine,
    testRun,
    type SourceFixture,
} from "../../engine/synapse/sourceFixture.ts";

type Spec = z.infer<typeof secretsContract.spec>;

/** Whom it is of, and that we made it. */
const ofTheTarget = [".target-made", ...(serviceUser() === undefined ? [] : [".target-user.json"])];

describe("the step secrets", () => {
    let fixture: SourceFixture;
    afterEach(() => fixture.remove());

    const configured =
        'password_config: {pepper: "pe pper", policy: {enabled: true}}\nmacaroon_secret_key: macaroon-secret\n';
    const source = async (more = configured, key?: string): Promise<void> => {
        fixture = await makeSource((directory) => plainConfig(directory, more), key);
    };
    const specOf = (given: Partial<Spec> = {}): Spec => ({
        run: { id: "run1", directory: "/nonexistent" },
        source: fixture.source,
        targetDirectory: fixture.targetDirectory,
        signingKey: `${signingKeyLine}\n`,
        pepper: "pe pper",
        macaroonSecretKey: "macaroon-secret",
        ...given,
    });
    const withoutPepper = (given: Partial<Spec> = {}): Spec => {
        const spec = specOf(given);
        delete spec.pepper;
        return spec;
    };
    const act = async (spec: Spec, id = "run1") => secrets.act(spec, testRun(id).run);
    const written = async (name: string): Promise<string> => readFile(join(fixture.targetDirectory, name), "utf8");
    const expectNothingWritten = async (): Promise<void> => {
        expect(await lstat(fixture.targetDirectory).catch(() => "absent")).to.equal("absent");
    };

    it("writes the signing key and every secret into private files of the service user", async () => {
        await source(
            `${configured}form_secret: form-secret\nturn_shared_secret: turn-secret\nemail: {smtp_host: mail, smtp_pass: mail-secret}\n`,
        );
        const result = await act(specOf());
        expect(result).to.deep.equal({
            signingKeyFile: join(fixture.targetDirectory, "example.org.signing.key"),
            secretsFile: join(fixture.targetDirectory, "secrets.yaml"),
            verifyKeys: result.verifyKeys,
        });
        expect(Object.keys(result.verifyKeys)).to.deep.equal(["ed25519:a_Test"]);
        expect(secretsContract.result.safeParse(result).success).to.equal(true);
        expect(await written("example.org.signing.key")).to.equal(`${signingKeyLine}\n`);
        expect(parseSynapseYaml("secrets.yaml", await written("secrets.yaml"))?.sections).to.deep.equal({
            password_config: { pepper: "pe pper", policy: { enabled: true } },
            macaroon_secret_key: "macaroon-secret",
            form_secret: "form-secret",
            turn_shared_secret: "turn-secret",
            email: { smtp_host: "mail", smtp_pass: "mail-secret" },
        });
        for (const name of ["example.org.signing.key", "secrets.yaml"]) {
            const { mode, uid } = await stat(join(fixture.targetDirectory, name));
            expect(mode & 0o777).to.equal(0o600);
            expect(uid).to.equal(serviceUser()?.uid ?? process.getuid?.());
        }
        const { mode, uid } = await stat(fixture.targetDirectory);
        expect(mode & 0o777).to.equal(serviceUser() === undefined ? 0o700 : 0o711);
        expect(uid).to.equal(process.geteuid?.());
    });

    it("is safe to repeat, and says nothing secret", async () => {
        await source();
        const { run, said, evidence } = testRun();
        const first = await secrets.act(specOf(), run);
        expect(await secrets.act(specOf(), run)).to.deep.equal(first);
        expect(await readdir(fixture.targetDirectory)).to.have.members([
            ".secrets.files.json",
            ...ofTheTarget,
            "example.org.signing.key",
            "secrets.yaml",
        ]);
        const told = JSON.stringify([said, evidence, first]);
        for (const secret of [seed, "pe pper", "macaroon-secret"]) expect(told).not.to.contain(secret);
    });

    it("reads secrets from the files that the source keeps them in, trimmed as Synapse does", async () => {
        fixture = await makeSource((directory) =>
            plainConfig(
                directory,
                `registration_shared_secret_path: ${directory}/registration\noidc_providers: [{idp_id: a, client_secret_path: ${directory}/oidc}, {idp_id: b, client_secret: inline}]\n`,
            ),
        );
        await writeFile(join(fixture.directory, "registration"), "  registration-secret\n", { mode: 0o640 });
        await writeFile(join(fixture.directory, "oidc"), "oidc-secret\n", { mode: 0o604 });
        await act(withoutPepper({ macaroonSecretKey: "registration-secret" }));
        expect(parseSynapseYaml("secrets.yaml", await written("secrets.yaml"))?.sections).to.deep.equal({
            macaroon_secret_key: "registration-secret",
            registration_shared_secret: "registration-secret",
            oidc_providers: [
                { idp_id: "a", client_secret: "oidc-secret" },
                { idp_id: "b", client_secret: "inline" },
            ],
        });
    });

    it("B09: refuses another signing key with SM-E0817 and writes nothing", async () => {
        await source();
        const other = Buffer.alloc(32, 8).toString("base64").replace("=", "");
        for (const key of [
            `ed25519 a_Test ${other}`,
            `ed25519 a_Else ${seed}`,
            `${signingKeyLine}\ned25519 b ${other}`,
        ]) {
            await expectError("SM-E0817", () => act(specOf({ signingKey: key })));
        }
        await expectNothingWritten();
    });

    it("B08: recognises the source's public key given in place of its seed with SM-E0811", async () => {
        await source();
        const { verifyKeys } = await act(specOf());
        await expectError("SM-E0811", () =>
            act(specOf({ signingKey: `ed25519 a_Test ${verifyKeys["ed25519:a_Test"] ?? ""}` })),
        );
    });

    it("B11: refuses a missing, other or padded pepper with SM-E0820 and writes nothing", async () => {
        await source();
        const cases: [Spec, RegExp][] = [
            [withoutPepper(), /no pepper is given/],
            [specOf({ pepper: "" }), /no pepper is given/],
            [specOf({ pepper: "pe pper\n" }), /white space/],
            [specOf({ pepper: "pepper-4be1" }), /another pepper/],
        ];
        for (const [spec, found] of cases) {
            const error = await expectError("SM-E0820", () => act(spec));
            expect(error.detail.found).to.match(found);
            expect(error.block).not.to.contain("pe pper");
        }
        await expectNothingWritten();
    });

    it("B11: takes a pepper with a line break to the last character, and warns with SM-W0821", async () => {
        await source('password_config: {pepper: "salt\\n"}\nmacaroon_secret_key: macaroon-secret\n');
        const { run, said } = testRun();
        await secrets.act(specOf({ pepper: "salt\n" }), run);
        expect(said.join()).to.contain("SM-W0821");
        expect(parseSynapseYaml("f", await written("secrets.yaml"))?.sections["password_config"]).to.deep.equal({
            pepper: "salt\n",
        });
    });

    it("B11: takes an absent pepper for what it is, and refuses one where the source has none", async () => {
        await source("macaroon_secret_key: macaroon-secret\n");
        const error = await expectError("SM-E0820", () => act(specOf()));
        expect(error.detail.found).to.contain("the source has none");
        await act(withoutPepper());
        expect(await written("secrets.yaml")).not.to.contain("password_config");
    });

    it("B12: explains with SM-E0830 which fallback the source uses in place of a macaroon secret", async () => {
        await source("registration_shared_secret: registration-secret\n");
        const first = await expectError("SM-E0830", () => act(withoutPepper({ macaroonSecretKey: "" })));
        expect(first.detail.expected).to.contain("registration_shared_secret");
        await expectNothingWritten();
        await fixture.remove();

        await source("form_secret: form-secret\n");
        const second = await expectError("SM-E0830", () => act(withoutPepper()));
        expect(second.detail.expected).to.contain("derives the secret from the signing key");
        await expectNothingWritten();
        await act(withoutPepper({ macaroonSecretKey: "" }));
        expect(await written("secrets.yaml")).not.to.contain("macaroon");
        await fixture.remove();

        await source("macaroon_secret_key: macaroon-secret\n");
        await expectError("SM-E0830", () => act(withoutPepper({ macaroonSecretKey: "macaroon-77c2" })));
    });

    it("tells all that differs at once", async () => {
        await source();
        const error = await act(specOf({ pepper: "x", macaroonSecretKey: "y" })).catch((caught: unknown) => caught);
        expect(String(error)).to.contain("SM-E0820").and.to.contain("SM-E0830");
    });

    it("B13: refuses a secret file that is missing, a directory, empty, too large or no text with SM-E1003", async () => {
        fixture = await makeSource((directory) =>
            plainConfig(directory, `form_secret_path: ${directory}/form\nmacaroon_secret_key: m-secret\n`),
        );
        const path = join(fixture.directory, "form");
        const spec = withoutPepper({ macaroonSecretKey: "m-secret" });
        const cases: [string, () => Promise<unknown>, RegExp][] = [
            ["missing", () => Promise.resolve(), /does not exist/],
            ["a directory", () => mkdir(path), /directory/],
            ["empty", () => writeFile(path, " \n"), /empty/],
            ["too large", () => writeFile(path, "x").then(() => truncate(path, 65_537)), /larger than 65536/],
            ["no text", () => writeFile(path, Buffer.from([0xff, 0xfe])), /UTF-8/],
        ];
        for (const [, make, found] of cases) {
            await make();
            const error = await expectError("SM-E1003", () => act(spec));
            expect(error.detail.found).to.match(found);
            await rm(path, { recursive: true, force: true });
        }
        await expectNothingWritten();
    });

    it("B13: follows a source's link as Synapse does, and warns of a key that others can read with SM-W1003", async () => {
        await source();
        const key = join(fixture.directory, "example.org.signing.key");
        await writeFile(join(fixture.directory, "real.key"), `${signingKeyLine}\n`);
        await chmod(join(fixture.directory, "real.key"), 0o644);
        await rm(key);
        await symlink("real.key", key);
        const { run, said } = testRun();
        await secrets.act(specOf(), run);
        expect(said.join()).to.contain("SM-W1003").and.to.contain("mode 0644");
        expect(said.join()).not.to.contain(seed);
    });

    it("B13: never writes through a link or over what it did not write: SM-E1205", async () => {
        await source();
        await mkdir(fixture.targetDirectory, { mode: 0o700 });
        const victim = join(fixture.directory, "victim");
        await writeFile(victim, "precious");
        await symlink(victim, join(fixture.targetDirectory, "secrets.yaml"));
        const error = await expectError("SM-E1205", () => act(specOf()));
        expect(error.detail.found).to.contain("symbolic link");
        expect(await readFile(victim, "utf8")).to.equal("precious");
        expect(await readdir(fixture.targetDirectory)).to.deep.equal(["secrets.yaml"]);

        await rm(join(fixture.targetDirectory, "secrets.yaml"));
        await writeFile(join(fixture.targetDirectory, "secrets.yaml"), "another homeserver's");
        await expectError("SM-E1205", () => act(specOf()));
        await rm(fixture.targetDirectory, { recursive: true });
        await symlink(fixture.directory, fixture.targetDirectory);
        await expectError("SM-E1205", () => act(specOf()));
    });

    it("refuses a target directory that the service user cannot reach with SM-E1206", async function () {
        await source();
        if (serviceUser() === undefined) return;
        const closed = join(fixture.directory, "target");
        const error = await expectError("SM-E1206", () => act(specOf({ targetDirectory: closed })));
        expect(error.detail.where).to.equal(fixture.directory);
    });

    it("takes back exactly what its own run wrote", async () => {
        await source();
        await act(specOf());
        await writeFile(join(fixture.targetDirectory, "other"), "kept");
        await secrets.undo?.(specOf(), testRun("run2").run);
        expect(await readdir(fixture.targetDirectory)).to.have.length(4 + ofTheTarget.length);
        await secrets.undo?.(specOf(), testRun("run1").run);
        expect(await readdir(fixture.targetDirectory)).to.have.members(["other", ...ofTheTarget]);
        await secrets.undo?.(specOf(), testRun("run1").run);
    });

    it("takes back with it what a killed assessment has left of the secrets", async () => {
        await source();
        await act(specOf());
        // No process has this number.
        const left = join(tmpdir(), "synapse-migration-config-4194305-1-killed");
        await mkdir(left);
        await writeFile(join(left, "secrets.yaml"), "pepper");
        await secrets.undo?.(specOf(), testRun("run1").run);
        expect(await stat(left).catch(() => "absent")).to.equal("absent");
    });

    it("leaves nothing of the signing key behind that a kill left while it was written", async () => {
        await source();
        await act(specOf());
        const left = [".999999999-1-0.partial", ".0123456789ab.partial"];
        const path = join(fixture.targetDirectory, "example.org.signing.key");
        for (const ending of left) await writeFile(`${path}${ending}`, `${signingKeyLine}\n`);
        await act(specOf());
        expect((await readdir(fixture.targetDirectory)).filter((name) => name.endsWith(".partial"))).to.deep.equal([]);
        for (const ending of left) await writeFile(`${path}${ending}`, `${signingKeyLine}\n`);
        await secrets.undo?.(specOf(), testRun("run1").run);
        await expectNothingWritten();
    });

    it("leaves no directory behind that it made, and leaves a newer run's files alone", async () => {
        await source();
        await act(specOf(), "run1");
        await act(specOf(), "run2");
        await secrets.undo?.(specOf(), testRun("run1").run);
        expect(await readdir(fixture.targetDirectory)).to.have.length(3 + ofTheTarget.length);
        await secrets.undo?.(specOf(), testRun("run2").run);
        await expectNothingWritten();
    });
});
