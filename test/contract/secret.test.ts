import { expect } from "chai";
import { z } from "zod";
import * as contracts from "../../contract/index.ts";
import { stepNames } from "../../steps/registry.ts";
import { accessKey, secret, secretKind } from "../../contract/secret.ts";

interface Field {
    /** `mediaStorageProvider|1.secretAccessKey`: of the second option of a union. */
    readonly path: string;
    readonly name: string;
    readonly schema: z.core.$ZodTypes;
}

/** Every field of a schema that is neither an object nor a list of further ones. */
function leavesOf(schema: z.core.$ZodType, path = "", name = ""): Field[] {
    const known = schema as z.core.$ZodTypes;
    const { def } = known._zod;
    const below = (inner: z.core.$ZodType, step: string, called = name): Field[] =>
        leavesOf(inner, `${path}${step}`, called);
    switch (def.type) {
        case "object":
            return Object.entries(def.shape).flatMap(([field, inner]) =>
                below(inner, path === "" ? field : `.${field}`, field),
            );
        case "union":
            return def.options.flatMap((option, index) => below(option, `|${index}`));
        case "array":
            return below(def.element, "[]");
        case "record":
            return below(def.valueType, "{}");
        case "optional":
        case "nullable":
        case "default":
            return below(def.innerType, "");
        case "pipe":
            return below(def.in, "");
        // A kind that is not unwrapped here must not hide a secret.
        case "string":
        case "number":
        case "boolean":
        case "enum":
        case "literal":
            return [{ path, name, schema: known }];
        default:
            throw new Error(`${path}: this test does not know schemas of type ${def.type}`);
    }
}

const steps = Object.values<unknown>(contracts).filter(
    (value): value is contracts.StepContract<unknown, unknown> =>
        typeof value === "object" && value !== null && "spec" in value && "result" in value,
);

const soundsSecret = /secret|pass(word|phrase)|pepper|token|privateKey|signingKey|accessKey/i;

/** Fields that sound like secrets and are none. */
const open = {
    /** Paths of files of mode 0600. */
    files: [
        "adminPasswordFile",
        "ownerPasswordFile",
        "passwordFile",
        "signingKeyFile",
        "secretsFile",
        "adminTokenFile",
    ],
    /** A digest of the token, which itself stays in the run directory. */
    digests: ["fenceToken"],
    /** Public halves, which every server may ask for: `oldSigningKeys{}.key`. */
    publicHalves: ["key"],
};
const allowed = new Set<string>([...open.files, ...open.digests, ...open.publicHalves]);

describe("the specifications of the steps", () => {
    it("mark every field that sounds like a secret as one", () => {
        const unmarked = steps.flatMap(({ name: step, spec }) =>
            leavesOf(spec)
                .filter(({ schema }) => schema._zod.def.type === "string" && secretKind(schema) === undefined)
                .filter(({ path, name }) => soundsSecret.test(path) && !allowed.has(name))
                .map(({ path }) => `${step}: ${path}`),
        );
        expect(unmarked).to.deep.equal([]);
    });

    it("are all looked at, and say of these alone that they are secret", () => {
        expect(steps.map(({ name }) => name).sort()).to.deep.equal([...stepNames].sort());
        const marked = steps.flatMap(({ spec }) =>
            leavesOf(spec).flatMap(({ name, schema }) => (secretKind(schema) === undefined ? [] : [name])),
        );
        expect([...new Set(marked)].sort()).to.deep.equal([
            "accessKeyId",
            "canaryPassword",
            "macaroonSecretKey",
            "passphrase",
            "password",
            "pepper",
            "secretAccessKey",
            "secretKey",
            "signingKey",
        ]);
    });

    it("need no exception that no field has any more", () => {
        const names = new Set(steps.flatMap(({ spec }) => leavesOf(spec).map(({ name }) => name)));
        expect([...allowed].filter((name) => !names.has(name))).to.deep.equal([]);
    });
});

describe("a secret's schema", () => {
    it("is recognised when it is checked further, and wherever it is used", () => {
        expect(secretKind(secret)).to.equal("text");
        expect(secretKind(secret.min(8).describe("of the database"))).to.equal("text");
        expect(secretKind(accessKey)).to.equal("accessKey");
        expect(secretKind(z.string())).to.equal(undefined);
    });

    it("takes any text, the empty one too", () => {
        expect(secret.parse("")).to.equal("");
    });
});
