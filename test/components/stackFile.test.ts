import { readFileSync } from "node:fs";
import { expect } from "chai";
import { parse } from "yaml";
import { z } from "zod";
import { parseConfig } from "../../components/config/parseConfig.ts";
import { kindOf, plainSchema, secretKeys } from "../../components/config/schema.ts";
import { stackFileLocator } from "../../components/config/stackFile.ts";
import { closest } from "../../components/config/suggestion.ts";
import { facts, rawConfig } from "./stacks.ts";

const read = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), "utf8");

describe("stackFileLocator", () => {
    const text = `
# a comment
config:
  synapse-migration:serverName: example.org
  synapse-migration:source:
    kind: selfHosted
    homeserverConfig:
      - /etc/a.yaml
      - b.yaml
    service: { kind: process, pidFile: x }
`;
    const locate = stackFileLocator("stacks/Pulumi.prod.yaml", text, "synapse-migration");

    for (const [path, place] of [
        [["serverName"], "stacks/Pulumi.prod.yaml:4 serverName"],
        [["source", "kind"], "stacks/Pulumi.prod.yaml:6 source.kind"],
        [["source", "homeserverConfig", 1], "stacks/Pulumi.prod.yaml:9 source.homeserverConfig.1"],
        [["source", "service", "pidFile"], "stacks/Pulumi.prod.yaml:10 source.service.pidFile"],
        [["source", "service", "unit"], "stacks/Pulumi.prod.yaml source.service.unit"],
        [["target", "kind"], "stacks/Pulumi.prod.yaml target.kind"],
    ] as const) {
        it(`finds ${path.join(".")}`, () => {
            expect(locate(path)).to.equal(place);
        });
    }

    it("names the key alone where there is no file, or none that can be read", () => {
        expect(stackFileLocator("f", "", "p")(["a"])).to.equal("f a");
        expect(stackFileLocator("f", "{{{", "p")(["a"])).to.equal("f a");
    });
});

describe("closest", () => {
    it("finds what a slip of the finger meant", () => {
        const words = ["serverName", "phase", "source", "target"];
        expect(closest("pahse", words)).to.equal("phase");
        expect(closest("sourc", words)).to.equal("source");
        expect(closest("SERVERNAME", words)).to.equal("serverName");
    });

    it("finds nothing where nothing is near", () => {
        expect(closest("kubernetes", ["phase", "run"])).to.equal(undefined);
        expect(closest("phase", [])).to.equal(undefined);
    });
});

describe("Pulumi.yaml", () => {
    const key = z.strictObject({
        type: z.enum(["string", "integer", "boolean", "object"]),
        description: z.string().min(20),
        default: z.unknown().optional(),
        secret: z.boolean().optional(),
    });
    const project = z
        .looseObject({
            name: z.string(),
            stackConfigDir: z.string(),
            main: z.string(),
            config: z.record(z.string(), key),
        })
        .parse(parse(read("Pulumi.yaml")));

    it("describes every key that the program knows, and no other", () => {
        expect(Object.keys(project.config)).to.have.members([...Object.keys(plainSchema.shape), ...secretKeys]);
        expect(project).to.include({ name: "synapse-migration", main: "index.ts", stackConfigDir: "stacks" });
    });

    it("gives each plain key the type that the program reads it as", () => {
        for (const name of plainSchema.keyof().options) expect(project.config[name]?.type, name).to.equal(kindOf(name));
    });

    it("demands of every stack the one secret that no homeserver comes without, encrypted", () => {
        for (const name of secretKeys) {
            const demanded = name === "signingKey";
            if (demanded) expect(project.config[name]).to.include({ secret: true }).and.not.to.have.property("default");
            else expect(project.config[name], name).to.include({ default: "" }).and.not.to.have.property("secret");
        }
    });

    it("has defaults that mean what the program's own mean", () => {
        const defaults = Object.entries(project.config).flatMap(([name, { default: value }]) =>
            value === undefined ? [] : [[name, typeof value === "string" ? value : JSON.stringify(value)] as const],
        );
        const required = ["serverName", "source", "target", "signingKey", "macaroonSecretKey"];
        const raw = Object.entries(rawConfig()).filter(([name]) => required.some((key) => name.endsWith(`:${key}`)));
        const withDefaults = {
            ...Object.fromEntries(defaults.map(([name, text]) => [`synapse-migration:${name}`, text])),
        };
        const encrypted = facts.encrypted.filter((name) => raw.some(([set]) => set === name));
        const with_ = parseConfig({ ...withDefaults, ...Object.fromEntries(raw) }, { ...facts, encrypted });
        expect(with_).to.deep.equal(parseConfig(Object.fromEntries(raw), { ...facts, encrypted }));
    });
});

describe("examples of stacks", () => {
    for (const name of [
        "example-local",
        "example-other-machine",
        "example-installed",
        "example-replicate",
        "example-rehearsal",
        "example-ems-export",
        "example-ems-zip",
        "example-backup",
        "example-sqlite",
        "example-to-ems",
    ]) {
        const { config } = z
            .strictObject({ config: z.record(z.string(), z.unknown()) })
            .parse(parse(read(`stacks/Pulumi.${name}.yaml`)));

        it(`${name} is valid once its secrets are set`, () => {
            const raw = Object.fromEntries(
                Object.entries(config).map(([key, value]) => [
                    key,
                    typeof value === "string" ? value : JSON.stringify(value),
                ]),
            );
            const encrypted = ["synapse-migration:signingKey", "synapse-migration:macaroonSecretKey"];
            const secrets = Object.fromEntries(encrypted.map((key) => [key, "x"]));
            const parsed = parseConfig({ ...raw, ...secrets }, { ...facts, encrypted, stack: name });
            expect(parsed.serverName).to.equal("example.org");
        });

        it(`${name} holds no secret`, () => {
            for (const key of secretKeys) expect(config).not.to.have.property(`synapse-migration:${key}`);
        });
    }
});
