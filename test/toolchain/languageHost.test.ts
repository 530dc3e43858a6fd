/** States how a program like ours runs: TypeScript through tsx, ESM, without a build. Against whichever language host is used. */
import { expect } from "chai";
import { z } from "zod";
import { PulumiProject, type Operation } from "./pulumiProject.ts";

const projectFile = `
name: probe
runtime:
  name: nodejs
  options: { typescript: false, nodeargs: "--import tsx" }
main: index.ts
`;

const program = `
import * as pulumi from "@pulumi/pulumi";
import { greeting } from "./greeting.ts";

export default async function program(): Promise<Record<string, unknown>> {
    const config = new pulumi.Config();
    await Promise.resolve();
    if (config.get("broken") === "softly") {
        const error = new pulumi.RunError("SM-E0000 this is the whole message");
        delete error.stack;
        throw error;
    }
    if (config.get("broken") === "abruptly") process.exit(5);
    return {
        greeting: greeting(config.require("name")),
        secret: config.requireSecret("hidden").apply((text) => text.length),
        where: [pulumi.getProject(), pulumi.getStack(), pulumi.getOrganization(), pulumi.runtime.isDryRun()],
    };
}
`;

describe("the language host", function () {
    this.timeout(60_000);
    let project: PulumiProject;
    let preview: Operation;

    before(async () => {
        project = await PulumiProject.make({
            "Pulumi.yaml": projectFile,
            "index.ts": program,
            "greeting.ts": "export const greeting = (name: string): string => `hello ${name}`;",
        });
        await project.pulumi("config", "set", "name", "example.org");
        await project.pulumi("config", "set", "--secret", "hidden", "canary");
        preview = await project.pulumi("preview", "--show-config");
    });

    after(() => project.remove());

    it("runs a TypeScript program that is an ES module with an async entry point, and takes what it returns as outputs", () => {
        expect(preview.exitCode, preview.output).to.equal(0);
        expect(preview.output).to.match(/greeting\s*: "hello example.org"/);
    });

    it("gives the program its configuration, with secrets known as such", () => {
        expect(preview.output)
            .to.match(/secret\s*: \[secret\]/)
            .and.not.to.include("canary");
    });

    it("tells the program project, stack, organization and that this is a preview", () => {
        const where = preview.output.slice(preview.output.indexOf("where"));
        expect(where).to.match(/"probe"[^]*"dev"[^]*"organization"[^]*true/);
    });

    it("does not fail a program for a plugin in package.json that it does not use and that cannot be had", () => {
        expect(preview.output).to.not.include("error:");
    });

    it("prints a program's own error as written, once, and fails", async () => {
        await project.pulumi("config", "set", "broken", "softly");
        const { exitCode, output } = await project.pulumi("preview");
        expect(exitCode).to.not.equal(0);
        expect(output.match(/SM-E0000 this is the whole message/g) ?? []).to.have.length.within(1, 3);
        expect(output).to.not.include("index.ts:");
    });

    it("fails when the program ends early, and says its exit code", async () => {
        await project.pulumi("config", "set", "broken", "abruptly");
        const { exitCode, output } = await project.pulumi("preview");
        expect(exitCode).to.not.equal(0);
        expect(output).to.match(/exit(ed with non-zero exit)? code:? 5/);
    });

    it("says what it is, and does not know what the program depends on while there is no lock file", async () => {
        const { output } = await project.pulumi("about");
        expect(output).to.include(process.version);
        expect(output).to.include("no package-lock.json or yarn.lock file found");
        expect(output).to.not.match(/@pulumi\/command +1\.2\.1/);
    });

    it("reads the direct dependencies from the lock file, those for development included", async () => {
        const manifest = z.looseObject({ dependencies: z.record(z.string(), z.string()) });
        const { dependencies, ...others } = manifest.parse(JSON.parse(await project.read("package.json")));
        const devDependencies = { tsx: "4.23.15" };
        await project.write("package.json", JSON.stringify({ ...others, dependencies, devDependencies }));
        const all = Object.entries({ ...dependencies, ...devDependencies });
        const packages = {
            "": { name: "probe", dependencies, devDependencies },
            ...Object.fromEntries(all.map(([name, version]) => [`node_modules/${name}`, { version }])),
        };
        const lock = { name: "probe", lockfileVersion: 3, requires: true, packages };
        await project.write("package-lock.json", JSON.stringify(lock));
        const { output } = await project.pulumi("about");
        for (const [name, version] of all) expect(output.replaceAll(/ +/g, " ")).to.include(`${name} ${version}`);
    });
});
