import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect } from "chai";
import fc from "fast-check";
import { z } from "zod";
import {
    commandPluginVersion,
    isAtLeast,
    oldestNode,
    pulumiSdkVersion,
    pulumiVersion,
    s3ServerVersion,
    synapseVersion,
} from "../../toolchain/versions.ts";

const root = dirname(dirname(import.meta.dirname));
const read = (path: string): string => readFileSync(join(root, path), "utf8");

describe("the versions of the toolchain", () => {
    const manifest = z
        .object({
            engines: z.object({ node: z.string() }),
            dependencies: z.record(z.string(), z.string()),
            devDependencies: z.record(z.string(), z.string()),
        })
        .parse(JSON.parse(read("package.json")));

    it("are those of package.json, exactly", () => {
        expect(manifest.devDependencies["pulumi"]).to.equal(pulumiVersion);
        expect(manifest.dependencies["@pulumi/command"]).to.equal(commandPluginVersion);
        expect(manifest.dependencies["@pulumi/pulumi"]).to.equal(pulumiSdkVersion);
        expect(manifest.engines.node).to.equal(`>=${oldestNode}`);
    });

    it("pin the command plugin to 1.2.1: npm's latest is a stray publish that sends private keys unprotected", () => {
        expect(commandPluginVersion).to.equal("1.2.1");
    });

    it("are those of the Go modules the CLI is built from, and the module has no host", () => {
        const modules = read("toolchain/pulumi-cli/go.mod");
        for (const module of ["pkg", "sdk"])
            expect(modules).to.include(`github.com/pulumi/pulumi/${module}/v3 v${pulumiVersion}`);
        expect(modules).to.match(/^module synapse-migration\/toolchain\/pulumi-cli$/m);
    });

    it("are those of the Go module the tests' S3 server is built from", () => {
        const modules = read("toolchain/versitygw/go.mod");
        expect(modules).to.include(`github.com/versity/versitygw v${s3ServerVersion}`);
        expect(modules).to.match(/^module synapse-migration\/toolchain\/versitygw$/m);
    });

    it("are those of the pinned packages of Synapse, each of which has an exact version", () => {
        const lines = read("toolchain/synapse-requirements.txt").split("\n");
        const pins = lines.filter((line) => line !== "" && !line.startsWith("#"));
        expect(pins).to.include(`matrix-synapse[postgres]==${synapseVersion}`);
        for (const pin of pins) expect(pin).to.match(/^[\w.[\]-]+==[\w.]+$/);
    });
});

describe("isAtLeast", () => {
    it("compares number by number, not as text", () => {
        expect(isAtLeast("3.250.0", "3.99.0")).to.equal(true);
        expect(isAtLeast("v3.9.1", "3.10")).to.equal(false);
        expect(isAtLeast("3.250.0-dev+x", "3.250.0")).to.equal(true);
        expect(isAtLeast("unknown", "3.0.0")).to.equal(false);
    });

    it("holds for a version and itself, and for at most one of two different ones both ways", () => {
        const version = fc.array(fc.nat(300), { minLength: 3, maxLength: 3 }).map((numbers) => numbers.join("."));
        fc.assert(
            fc.property(
                version,
                version,
                (a, b) => isAtLeast(a, a) && (isAtLeast(a, b) && isAtLeast(b, a)) === (a === b),
            ),
        );
    });
});
