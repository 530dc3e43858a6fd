import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import type { BundleSource } from "../../../../contract/index.ts";
import { hostPath } from "../../../../engine/machines/pathMap.ts";
import { readHomeserverConfig } from "../../../../engine/synapse/config/homeserverConfig.ts";
import { filesOfIdentity, filesOfTarget, refuseMissingFiles } from "../../../../engine/synapse/config/missingFiles.ts";
import { carriedSections } from "../../../../engine/synapse/config/movedSections.ts";
import { readSourceConfig } from "../../../../engine/synapse/config/sourceConfig.ts";
import { readHomeserverSecrets } from "../../../../engine/synapse/secrets/homeserverSecrets.ts";
import { expectError } from "../../../support/expectError.ts";
import { signingKeyLine } from "../sourceFixture.ts";

/** Of a docker compose deployment: `/data` in the container is a directory of this machine. */
const ofContainer = `server_name: cases.test
report_stats: false
pid_file: /data/homeserver.pid
media_store_path: /data/media_store
log_config: /data/log.config
database: {name: psycopg2, args: {user: synapse, password: x, database: synapse, host: postgres}}
signing_key_path: /data/cases.test.signing.key
form_secret_path: /secrets/form
templates: {custom_template_directory: /data/templates}
app_service_config_files: [/data/registrations/telegram.yaml, beside.yaml]
`;

describe("the files that a configuration names", () => {
    let directory: string;
    let file: string;
    beforeEach(async () => {
        directory = await mkdtemp(join(tmpdir(), "synapse-config-"));
        file = join(directory, "data", "homeserver.yaml");
        await mkdir(join(directory, "data", "registrations"), { recursive: true });
        await writeFile(file, ofContainer);
        await writeFile(join(directory, "data", "cases.test.signing.key"), `${signingKeyLine}\n`, { mode: 0o600 });
        await writeFile(join(directory, "data", "beside.yaml"), "id: beside\n");
    });
    afterEach(() => rm(directory, { recursive: true, force: true }));

    const complete = async (): Promise<Record<string, string>> => {
        for (const name of ["media_store", "templates"]) await mkdir(join(directory, "data", name));
        await writeFile(join(directory, "data", "registrations", "telegram.yaml"), "id: telegram\n");
        await mkdir(join(directory, "own"));
        await writeFile(join(directory, "own", "form"), "formsecret\n", { mode: 0o600 });
        return { "/data": join(directory, "data"), "/secrets/": join(directory, "own") };
    };

    it("are looked for all at once, and those of a container are known as that, with where they seem to be (SM-E0231)", async () => {
        const config = await readHomeserverConfig([file]);
        const { detail } = await expectError("SM-E0231", () =>
            refuseMissingFiles(config, [...filesOfIdentity(config), ...filesOfTarget(config)]),
        );
        expect(detail.found.split("\n")).to.deep.equal([
            "5 that do not exist on this machine:",
            "media_store_path: /data/media_store",
            "signing_key_path: /data/cases.test.signing.key",
            "form_secret_path: /secrets/form",
            "templates.custom_template_directory: /data/templates",
            "app_service_config_files: /data/registrations/telegram.yaml",
        ]);
        expect(detail.fix).to.contain(JSON.stringify({ "/data": join(directory, "data"), "/secrets": "DIRECTORY" }));
        expect(detail.fix).to.contain(`--path /data=${directory}/data --path /secrets=DIRECTORY`);
    });

    it("are found where the stack says that this machine has them, in every setting", async () => {
        const paths = await complete();
        const config = await readHomeserverConfig([file], { paths });
        await refuseMissingFiles(config, [...filesOfIdentity(config), ...filesOfTarget(config)]);
        expect(config).to.deep.include({
            mediaStorePath: `${directory}/data/media_store`,
            pidFile: `${directory}/data/homeserver.pid`,
            signingKey: { path: `${directory}/data/cases.test.signing.key` },
        });
        expect((await readHomeserverSecrets(config)).formSecret).to.equal("formsecret");
    });

    it("are found so for a backup, too, and are all named before the first is copied", async () => {
        const backup: BundleSource = { kind: "backup", serverName: "cases.test", database: ["/srv/dump"] };
        const to = { source: backup, targetDirectory: "/target" };
        const unmapped = await readSourceConfig({ ...backup, homeserverConfig: [file] });
        const { detail } = await expectError("SM-E0231", () => carriedSections(unmapped, to));
        expect(detail.found).to.match(/^3 that do not exist on this machine:\nform_secret_path/);
        const config = await readSourceConfig({ ...backup, homeserverConfig: [file], paths: await complete() });
        const { secret, copies } = await carriedSections(config, to);
        expect(secret).to.include({ form_secret: "formsecret" });
        expect(copies.map(({ from }) => from)).to.deep.equal([
            `${directory}/data/templates`,
            `${directory}/data/registrations/telegram.yaml`,
            `${directory}/data/beside.yaml`,
        ]);
    });

    it("are not called a container's where only a name is wrong", async () => {
        await writeFile(file, ofContainer.replace(/\/(data|secrets)\//g, `${directory}/data/`));
        const config = await readHomeserverConfig([file]);
        const { detail } = await expectError("SM-E0231", () => refuseMissingFiles(config, filesOfTarget(config)));
        expect(detail.fix).to.equal(undefined);
    });

    it("are mapped by whole directories, the longest first", () => {
        const map = { "/data": "/srv/x", "/data/media/": "/mnt/media/", "/": "/rootfs" };
        expect(hostPath("/data/key", map)).to.equal("/srv/x/key");
        expect(hostPath("/data/media/a/b", map)).to.equal("/mnt/media/a/b");
        expect(hostPath("/data/media", map)).to.equal("/mnt/media");
        expect(hostPath("/database/key", map)).to.equal("/rootfs/database/key");
        expect(hostPath("/database/key", { "/data": "/srv/x" })).to.equal("/database/key");
    });
});
