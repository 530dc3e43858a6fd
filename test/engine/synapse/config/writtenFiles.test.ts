import { createHash } from "node:crypto";
import { appendFile, mkdir, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { expect } from "chai";
import { refuseRewritten } from "../../../../engine/synapse/config/writtenFiles.ts";
import { configure } from "../../../../steps/stage/configure.ts";
import { secrets } from "../../../../steps/stage/secrets.ts";
import { expectError } from "../../../support/expectError.ts";
import { makeSource, plainConfig, signingKeyLine, testRun, type SourceFixture } from "../sourceFixture.ts";

const oldKey = Buffer.alloc(32, 9).toString("base64");
const pepper = "pepper-9d1f";
const changedSecret = "macaroon-77ac";

describe("the files of a target between phase stage and its start", () => {
    let fixture: SourceFixture;
    let given: ReturnType<typeof testRun>;
    let evidence: string;

    const inTarget = (name: string) => join(fixture.targetDirectory, name);
    const keep = (step: string, content: unknown) => writeFile(join(evidence, `${step}.json`), JSON.stringify(content));
    const replaced = async (name: string, from: RegExp | string, to: string): Promise<void> => {
        const before = await readFile(inTarget(name), "utf8");
        const after = before.replace(from, to);
        expect(after, `nothing to replace in ${name}`).not.to.equal(before);
        await writeFile(inTarget(name), after);
    };

    beforeEach(async () => {
        fixture = await makeSource((directory) =>
            plainConfig(
                directory,
                `password_config: {pepper: ${pepper}}
macaroon_secret_key: macaroon-55e1
form_secret: form-55e1
enable_registration: false
old_signing_keys: {"ed25519:old": {key: "${oldKey}", expired_ts: 1600000000000}}
templates: {custom_template_directory: ${directory}/templates}
`,
            ),
        );
        const { directory, source, targetDirectory } = fixture;
        await mkdir(join(directory, "templates"));
        await writeFile(join(directory, "templates", "notice.html"), "<p>");
        await writeFile(join(directory, "owner.password"), "target-password\n", { mode: 0o600 });
        given = testRun();
        const { run } = given;
        const common = { run: run.reference, source, targetDirectory };
        const { signingKeyFile, secretsFile } = await secrets.act(
            { ...common, signingKey: signingKeyLine, pepper, macaroonSecretKey: "macaroon-55e1" },
            run,
        );
        await configure.act(
            {
                ...common,
                database: {
                    ...{ host: "127.0.0.1", port: 5499, name: "synapse", owner: "synapse_owner" },
                    ...{ ownerPasswordFile: join(directory, "owner.password"), admin: "postgres" },
                    ...{ adminPasswordFile: "/nonexistent", clientDirectory: "/usr/bin" },
                },
                mediaStore: inTarget("media_store"),
                ...{ signingKeyFile, secretsFile, isolated: true },
                listener: { bindAddress: "127.0.0.1", port: 8448 },
            },
            run,
        );
        evidence = join(run.directory, "evidence");
        await mkdir(evidence);
        await keep("secrets", given.evidence[0]);
        await keep("configure", given.evidence[1]);
    });
    afterEach(() => fixture.remove());

    it("pass as they were written: every one of them is kept by its path and a digest that is the run's own", async () => {
        await refuseRewritten(given.run, "nothing");
        expect(given.said).not.to.satisfy((said: string[]) => said.some((line) => line.includes("not looked")));
        const kept = given.evidence.map((each) => (each as { targetFiles: Record<string, string> }).targetFiles);
        const [ofSecrets, ofConfigure] = kept.map((each) => Object.keys(each).map((path) => basename(path)));
        expect(ofSecrets).to.have.members(["example.org.signing.key", "secrets.yaml"]);
        expect(ofConfigure).to.have.members([
            ...["homeserver.yaml", "database.yaml", "log.yaml", "isolation.yaml", "notice.html"],
        ]);
        for (const [path, digest] of kept.flatMap((each) => Object.entries(each))) {
            const plain = createHash("sha256").update(await readFile(path));
            expect(digest, path)
                .to.match(/^[0-9a-f]{64}$/)
                .and.not.equal(plain.digest("hex"));
        }
    });

    const changes: readonly (readonly [string, string, string, () => Promise<unknown>])[] = [
        [
            "another macaroon secret",
            "secrets",
            "secrets.yaml",
            () => replaced("secrets.yaml", "macaroon-55e1", changedSecret),
        ],
        ["another form secret", "secrets", "secrets.yaml", () => replaced("secrets.yaml", "form-55e1", changedSecret)],
        ["another pepper", "secrets", "secrets.yaml", () => replaced("secrets.yaml", pepper, changedSecret)],
        ["another database", "configure", "database.yaml", () => replaced("database.yaml", "5499", "5498")],
        [
            "a retention of one day",
            "configure",
            "homeserver.yaml",
            () =>
                appendFile(
                    inTarget("homeserver.yaml"),
                    "retention: {enabled: true, default_policy: {max_lifetime: 1d}}\n",
                ),
        ],
        [
            "open registration",
            "configure",
            "homeserver.yaml",
            () => replaced("homeserver.yaml", "enable_registration: false", "enable_registration: true"),
        ],
        [
            "lost old signing keys",
            "configure",
            "homeserver.yaml",
            () => replaced("homeserver.yaml", "ed25519:old", "ed25519:none"),
        ],
        [
            "a rehearsal that is let out",
            "configure",
            "isolation.yaml",
            () => writeFile(inTarget("isolation.yaml"), "{}\n"),
        ],
        [
            "another template",
            "configure",
            "files/templates.custom_template_directory/templates/notice.html",
            () => writeFile(inTarget("files/templates.custom_template_directory/templates/notice.html"), "<b>"),
        ],
    ];
    for (const [title, step, name, change] of changes) {
        it(`are refused with SM-E0841 for ${title}, which names the file and the step and nothing that is in it`, async () => {
            await change();
            const error = await expectError("SM-E0841", () => refuseRewritten(given.run, "nothing"));
            expect(error.detail.found).to.match(
                /^\S+, which the step \w+ wrote at 2\S+Z: its content is another since 2\S+Z$/,
            );
            expect(error.detail.found).to.contain(`${inTarget(name)}, which the step ${step} wrote`);
            for (const secret of [changedSecret, "55e1", pepper, oldKey]) expect(error.block).not.to.contain(secret);
        });
    }

    it("are refused with SM-E0841 when one is gone, or a link is in its place, all named at once", async () => {
        await rm(inTarget("log.yaml"));
        await rm(inTarget("secrets.yaml"));
        await symlink(inTarget("homeserver.yaml"), inTarget("secrets.yaml"));
        const { detail } = await expectError("SM-E0841", () => refuseRewritten(given.run, "nothing"));
        expect(detail.found).to.match(
            /secrets\.yaml, .*: something else than a file is in its place\n.*log\.yaml, .*: it is gone$/,
        );
    });

    it("are not compared in a run of an earlier version, which says so", async () => {
        await keep("configure", { sourceSections: {} });
        await rm(join(evidence, "secrets.json"));
        for (const name of await readdir(fixture.targetDirectory)) if (name.endsWith(".yaml")) await rm(inTarget(name));
        await refuseRewritten(given.run, "nothing");
        const said = given.said.join("\n");
        for (const step of ["secrets", "configure"])
            expect(said).to.contain(`not looked whether the files of step ${step} are as it wrote them`);
    });
});
