import { expect } from "chai";
import { z } from "zod";
import * as contracts from "../../../contract/index.ts";
import { accessKey, armoredSecret, secret } from "../../../contract/secret.ts";
import { secretsIn, withoutSecrets } from "../../../engine/run/specSecrets.ts";

const bodyLines = ["lQdGBGcAAAABEADKexampleexampleexampleexampleexamplee", "zZ9aexampleexampleexampleexample=="];
const armored = [
    "-----BEGIN PGP PRIVATE KEY BLOCK-----",
    "Comment: key-of-matrix.example.org",
    "",
    ...bodyLines,
    "=aB1c",
    "-----END PGP PRIVATE KEY BLOCK-----",
    "",
].join("\n");

/** All that any step is told, under the names that it is told it by. */
const given = {
    run: { id: "r1", directory: "/srv/run" },
    signingKey: "the signing key",
    pepper: "the pepper",
    macaroonSecretKey: "the macaroon secret",
    passphrase: "the passphrase",
    secretKey: armored,
    password: "the password",
    canaryPassword: "the test account's password",
    mediaStorageProvider: {
        ...{ kind: "s3", bucket: "media", prefix: "of/us/" },
        ...{ accessKeyId: "AKIAIOSFODNN7EXAMPLE", secretAccessKey: "of the bucket" },
    },
};
type Name = Exclude<keyof typeof given, "run">;

const identity = ["signingKey", "pepper", "macaroonSecretKey"] as const;
const unlocking = ["passphrase", "secretKey"] as const;

/** Which secrets each step is told. Steps that are told none are not here. */
const told: Readonly<Record<string, readonly Name[]>> = {
    assess: [...identity, ...unlocking, "mediaStorageProvider"],
    secrets: [...identity, "mediaStorageProvider"],
    "media-storage": ["mediaStorageProvider"],
    configure: ["mediaStorageProvider"],
    "media-early": ["mediaStorageProvider"],
    "media-final": ["mediaStorageProvider"],
    verify: ["mediaStorageProvider"],
    canary: ["password"],
    probe: ["pepper", "canaryPassword"],
    "purge-remote-media": ["canaryPassword"],
    import: unlocking,
    "import-media": unlocking,
    "hand-media": unlocking,
    "prepare-bundle": [...identity, "passphrase"],
    "export-database": ["passphrase"],
    "export-media": ["passphrase"],
    "export-config": ["passphrase"],
    "verify-bundle": ["passphrase"],
};

const steps = Object.values<unknown>(contracts).filter(
    (value): value is contracts.StepContract<unknown, unknown> =>
        typeof value === "object" && value !== null && "spec" in value && "result" in value,
);

/** Of one of the given fields: what must not be said. */
function sayings(name: Name): readonly string[] {
    if (name === "secretKey") return bodyLines;
    if (name !== "mediaStorageProvider") return [given[name]];
    const { accessKeyId, secretAccessKey } = given[name];
    return [accessKeyId, secretAccessKey];
}

const keptProvider = { ...given.mediaStorageProvider, accessKeyId: "removed", secretAccessKey: "removed" };

describe("the secrets of a specification", () => {
    for (const { name, spec } of steps) {
        const secrets = told[name] ?? [];
        it(`${name}: ${secrets.length === 0 ? "none" : secrets.join(", ")}`, () => {
            // Every step is given all of it: what it is not to be told, its schema does not know.
            expect(secretsIn(spec, given).sort()).to.deep.equal(secrets.flatMap(sayings).sort());
            const replaced = secrets.map((field) => [
                field,
                field === "mediaStorageProvider" ? keptProvider : "removed",
            ]);
            expect(withoutSecrets(spec, given)).to.deep.equal({ ...given, ...Object.fromEntries(replaced) });
        });
    }

    it("are known of every step that is listed here", () => {
        expect(Object.keys(told).filter((name) => !steps.some((step) => step.name === name))).to.deep.equal([]);
    });

    it("are found in what does not parse: with fields that are wrong, missing or not known", () => {
        const { spec } = contracts.assessContract;
        const wrong = {
            run: 7,
            source: null,
            mediaStorageProvider: { kind: "azure", secretAccessKey: "of azure", constructor: "x", __proto__: null },
            pepper: ["first pepper", { second: "second pepper" }, 12345],
            unknown: { pepper: "not known there" },
            toString: "x",
        };
        expect(spec.safeParse(wrong).success).to.equal(false);
        expect(secretsIn(spec, wrong).sort()).to.deep.equal(["12345", "first pepper", "of azure", "second pepper"]);
        expect(withoutSecrets(spec, wrong)).to.deep.include({ pepper: "removed", source: null });
        for (const value of [null, undefined, "text", 7, [], [given]]) {
            expect(secretsIn(spec, value)).to.deep.equal([]);
            expect(withoutSecrets(spec, value)).to.deep.equal(value);
        }
    });

    it("are found however deep the nonsense is that stands for one", () => {
        let nested: unknown = "at the bottom";
        for (let level = 0; level < 50_000; level++) nested = [nested];
        expect(secretsIn(z.object({ secret }), { secret: nested })).to.deep.equal(["at the bottom"]);
    });

    it("are found behind every kind of schema", () => {
        interface Tree {
            readonly secret?: string | undefined;
            readonly below?: readonly Tree[] | undefined;
        }
        const tree: z.ZodType<Tree> = z.lazy(() =>
            z.object({ secret: secret.optional(), below: z.array(tree).optional() }),
        );
        const cases: readonly (readonly [z.ZodType, unknown, unknown])[] = [
            [secret, "s", "removed"],
            [secret.nullable(), "s", "removed"],
            [secret.nullable(), null, null],
            [secret.default("d"), "s", "removed"],
            [secret.catch("d").readonly(), "s", "removed"],
            [secret.min(1).describe("longer"), "s", "removed"],
            [secret.transform((text) => text.length), "s", "removed"],
            [z.preprocess((text) => text, secret), "s", "removed"],
            [z.array(secret), ["s", "s"], ["removed", "removed"]],
            [z.tuple([z.string(), secret]), ["open", "s"], ["open", "removed"]],
            [z.tuple([z.string()], secret), ["open", "s"], ["open", "removed"]],
            [z.record(z.string(), secret), { a: "s" }, { a: "removed" }],
            [z.looseObject({ a: secret }), { a: "s", b: "open" }, { a: "removed", b: "open" }],
            [z.object({ a: z.string() }).catchall(secret), { a: "open", b: "s" }, { a: "open", b: "removed" }],
            [
                z.union([z.object({ a: z.string() }), z.object({ a: secret, b: z.string() })]),
                { a: "s", b: "open" },
                { a: "removed", b: "open" },
            ],
            [
                z.intersection(z.object({ a: z.string() }), z.object({ b: secret })),
                { a: "open", b: "s" },
                { a: "open", b: "removed" },
            ],
            [
                tree,
                { below: [{ secret: "s", below: [{ secret: "s" }] }] },
                { below: [{ secret: "removed", below: [{ secret: "removed" }] }] },
            ],
        ];
        for (const [schema, value, kept] of cases) {
            const found = secretsIn(schema, value);
            expect(found.every((text) => text === "s")).to.equal(true);
            expect(found.length).to.equal(JSON.stringify(kept).split("removed").length - 1);
            expect(withoutSecrets(schema, value)).to.deep.equal(kept);
        }
    });

    it("are none any more in a specification that was kept: its placeholder is a word of many messages", () => {
        const { spec } = contracts.assessContract;
        expect(secretsIn(spec, withoutSecrets(spec, given))).to.deep.equal([]);
    });

    it("say of an armored key its body alone, and of what is no such key all", () => {
        expect(secretsIn(armoredSecret, armored)).to.deep.equal(bodyLines);
        expect(secretsIn(armoredSecret, armored.replaceAll("\n", "\r\n"))).to.deep.equal(bodyLines);
        expect(secretsIn(armoredSecret, "a passphrase by mistake")).to.deep.equal(["a passphrase by mistake"]);
    });

    it("leave the name of an access key sayable that may be a bucket's as well, and keep it all the same with no run", () => {
        for (const name of ["minioadmin", "synapse-media-storage", "matrix.example.org", "synapsemediastorage"]) {
            expect(secretsIn(accessKey, name)).to.deep.equal([]);
            expect(withoutSecrets(accessKey, name)).to.equal("removed");
        }
        for (const name of ["AKIAIOSFODNN7EXAMPLE", "GK31c2f218a2e44f485b94239e"])
            expect(secretsIn(accessKey, name)).to.deep.equal([name]);
    });

    it("are replaced where they are empty too, and stay absent where they are absent", () => {
        expect(withoutSecrets(z.object({ a: secret, b: secret.optional() }), { a: "" })).to.deep.equal({
            a: "removed",
        });
    });
});
