import { chmod, chown, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { mediaRepoTarget } from "../../../../contract/index.ts";
import { namedUser } from "../../../../engine/machines/namedUser.ts";
import { serviceUser } from "../../../../engine/machines/serviceUser.ts";
import { requireFit } from "../../../../engine/media/mediaRepo/fitness.ts";
import { readRepositoryConfig, type RepositoryConfig } from "../../../../engine/media/mediaRepo/repositoryConfig.ts";
import { redact } from "../../../../engine/run/redaction.ts";
import { expectError } from "../../../support/expectError.ts";

const isRoot = process.getuid?.() === 0;
const datastores = "datastores: [{type: s3, id: a, forKinds: [local_media], opts: {tempPath: /tmp}}]";
const database = (text: string): string => `database: {postgres: ${JSON.stringify(text)}}`;
const usual = `${database("postgres://mmr:se%2Fcret@db.example.org:5433/media?sslmode=require")}\n${datastores}\nhomeservers: [{name: example.org}]`;

async function withDirectory<T>(work: (directory: string) => Promise<T>): Promise<T> {
    const directory = await mkdtemp(join(tmpdir(), "media-repo-"));
    try {
        await chmod(directory, 0o755);
        return await work(directory);
    } finally {
        await rm(directory, { recursive: true, force: true });
    }
}

const read = (...texts: readonly string[]): Promise<RepositoryConfig> =>
    withDirectory(async (directory) => {
        const place = join(directory, "config");
        if (texts.length === 1) await writeFile(place, texts[0] ?? "");
        else {
            await mkdir(join(place, "not-a-file"), { recursive: true });
            for (const [index, text] of texts.entries()) await writeFile(join(place, `${index}.yaml`), text);
        }
        return readRepositoryConfig(place);
    });

describe("the configuration of matrix-media-repo", () => {
    it("tells its database, homeservers, limit, and what it has by default", async () => {
        expect(await read(usual)).to.deep.equal({
            database: { host: "db.example.org", port: 5433, name: "media", user: "mmr", password: "se/cret" },
            serverNames: ["example.org"],
            longestBytes: 104_857_600,
            directories: [],
            requiresTokens: false,
            sharedSecret: undefined,
        });
    });

    it("takes a database in the words of libpq, on its usual port, and without a password", async () => {
        const words = "user=mmr password='it''s' dbname=media host=/run/postgresql sslmode=disable".replace(
            "''",
            "\\'",
        );
        const { database: found } = await read(`${database(words)}\n${datastores}`);
        expect(found).to.deep.equal({
            ...{ host: "/run/postgresql", port: 5432, name: "media", user: "mmr", password: "it's" },
        });
        const bare = await read(`${database("postgresql://mmr@[::1]/media")}\n${datastores}`);
        expect(bare.database).to.deep.equal({ host: "::1", port: 5432, name: "media", user: "mmr" });
        const local = await read(`${database("postgres://mmr@/media?host=/run/postgresql")}\n${datastores}`);
        expect(local.database.host).to.equal("/run/postgresql");
    });

    it("is put together of the files of a directory, of which some are about one homeserver", async () => {
        const found = await read(
            `${usual}\nuploads: {maxBytes: 5}`,
            "uploads: {maxBytes: 7}\nsharedSecretAuth: {enabled: true, token: secret-of-media-repo}",
            "homeserver: second.example.org\nuploads: {maxBytes: 1}",
            "",
        );
        expect(found).to.deep.include({ serverNames: ["example.org", "second.example.org"], longestBytes: 7 });
        expect(found.sharedSecret).to.equal("secret-of-media-repo");
        expect(redact("Bearer secret-of-media-repo")).not.to.contain("secret-of-media-repo");
    });

    it("has no limit where the limit is 0, and no shared secret where that is turned off", async () => {
        const found = await read(`${usual}\nuploads: {maxBytes: 0}\nsharedSecretAuth: {enabled: false, token: x}`);
        expect(found).to.include({ longestBytes: undefined, sharedSecret: undefined });
    });

    for (const [what, text, expected] of [
        ["no database", datastores, "database: "],
        ["a database without a name", `${database("postgres://mmr@db/")}\n${datastores}`, "does not name"],
        ["a database of another kind", `${database("mysql://mmr@db/media")}\n${datastores}`, "does not name"],
        ["a database that is no address", `${database("postgres://[")}\n${datastores}`, "does not name"],
        ["no datastore for what people send", `${database("postgres://mmr@db/media")}\ndatastores: []`, "local_media"],
        [
            "a datastore that lies where it was started",
            `${database("postgres://mmr@db/media")}\ndatastores: [{type: file, forKinds: [all], opts: {path: media}}]`,
            '"media", which is no absolute path',
        ],
        ["what is no YAML", "a: [", "no YAML file of sections"],
        ["what is no mapping", "- a", "no YAML file of sections"],
    ] as const) {
        it(`is refused with ${what}, without a word of its secrets`, async () => {
            const error = await expectError("SM-E0532", () => read(text));
            expect(error.detail.found).to.contain(expected);
        });
    }

    it("is refused when it is not there", async () => {
        await expectError("SM-E0532", () => readRepositoryConfig("/nonexistent/media-repo.yaml"));
    });
});

describe("whether the importer can be run", () => {
    interface Files {
        readonly importer?: number;
        readonly config?: number;
        readonly owner?: boolean;
        readonly user?: string;
    }
    const check = (files: Files): Promise<unknown> =>
        withDirectory(async (directory) => {
            const [importer, config] = [join(directory, "gdpr_import"), join(directory, "media-repo.yaml")];
            const store = join(directory, "store");
            await mkdir(store);
            await writeFile(importer, "#!/bin/true\n");
            const data = `datastores: [{type: file, forKinds: [all], opts: {path: ${store}}}]`;
            await writeFile(config, usual.replace(datastores, data));
            await chmod(importer, files.importer ?? 0o755);
            await chmod(config, files.config ?? 0o600);
            const user = serviceUser();
            if (user !== undefined && files.owner !== false)
                for (const path of [config, store]) await chown(path, user.uid, user.gid);
            const target = { kind: "mediaRepo", importer, config, directory: "/srv/hand", user: files.user };
            return requireFit(mediaRepoTarget.parse(target), "example.org");
        });

    it("is run as the owner of the configuration, and never as root", async () => {
        const { user } = (await check({})) as { user: unknown };
        expect(user).to.deep.equal(serviceUser());
    });

    it("cannot, when the program cannot be executed", async () => {
        const error = await expectError("SM-E0533", () => check({ importer: 0o644 }));
        expect(error.detail.found).to.contain("cannot run it");
    });

    if (isRoot) {
        it("can be run as a user that is named, who has to be able to read the configuration", async () => {
            const error = await expectError("SM-E0533", () => check({ user: "daemon" }));
            expect(error.detail.found).to.contain("cannot read it");
            const store = await expectError("SM-E0533", () => check({ user: "daemon", config: 0o644 }));
            expect(store.detail.found).to.contain("cannot write to it");
        });

        it("cannot, when nobody says as whom, when there is no such user, or when it is root", async () => {
            const unsaid = await expectError("SM-E0533", () => check({ owner: false }));
            expect(unsaid.detail.found).to.contain("belongs to root");
            const unknown = await expectError("SM-E0533", () => check({ user: "no-such-user" }));
            expect(unknown.detail.found).to.contain("does not know");
            const root = await expectError("SM-E0533", () => check({ user: "root" }));
            expect(root.detail.found).to.contain("is root");
        });
    }

    it("finds users by their name", async () => {
        expect(await namedUser("root")).to.deep.equal({ uid: 0, gid: 0 });
        expect(await namedUser("no-such-user")).to.equal(undefined);
    });
});
