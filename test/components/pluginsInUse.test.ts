/** The report names the plugins that the engine really takes, wherever it finds them. */
import { chmod, mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { expect } from "chai";
import { runtimeEnvironment } from "../../components/environment.ts";
import { languageHost, resourcePlugin, type PluginSurroundings } from "../../components/pluginsInUse.ts";

const offline = join(dirname(dirname(import.meta.dirname)), "toolchain/offline");
const standIn = join(offline, "command/pulumi-resource-command");
const standInHost = join(offline, "nodejs/pulumi-language-nodejs");

describe("the plugins in use", () => {
    let root: string;
    let surroundings: PluginSurroundings;
    const program = async (path: string, content = "\x7fELF"): Promise<string> => {
        const file = join(root, path);
        await mkdir(dirname(file), { recursive: true });
        await writeFile(file, content);
        await chmod(file, 0o755);
        return file;
    };
    const project = (text: string): Promise<void> => writeFile(join(root, "Pulumi.yaml"), text);
    const found = (changes: Readonly<Record<string, string>> = {}, version = "1.2.1") =>
        resourcePlugin("command", version, {
            ...surroundings,
            environment: { ...surroundings.environment, ...changes },
        });

    beforeEach(async () => {
        root = await mkdtemp(join(tmpdir(), "plugins-in-use-"));
        await project("name: x\nruntime: nodejs\n");
        surroundings = {
            environment: { PATH: join(root, "bin"), HOME: root },
            projectFile: join(root, "Pulumi.yaml"),
            caller: undefined,
        };
    });
    afterEach(() => rm(root, { recursive: true, force: true }));

    it("are official in Pulumi's own directory, in exactly the version of the package", async () => {
        await program(".pulumi/plugins/resource-command-v1.2.1/pulumi-resource-command");
        expect(found()).to.deep.equal({
            name: "pulumi-resource-command",
            kind: "official",
            described: "official, 1.2.1, in Pulumi's plugin directory",
        });
        expect(found({}, "1.2.2")).to.include({ kind: "unknown", described: "1.2.2 is asked for and not found" });
        expect(found({ PULUMI_HOME: join(root, "elsewhere") }).kind).to.equal("unknown");
        await program("elsewhere/plugins/resource-command-v1.2.1/pulumi-resource-command");
        expect(found({ PULUMI_HOME: join(root, "elsewhere") }).kind).to.equal("official");
    });

    it("are not there as long as Pulumi unpacks them", async () => {
        await program(".pulumi/plugins/resource-command-v1.2.1/pulumi-resource-command");
        await writeFile(join(root, ".pulumi/plugins/resource-command-v1.2.1.partial"), "");
        expect(found().kind).to.equal("unknown");
    });

    it("are a stand-in where PATH has one, through a link too, before an installed one", async () => {
        await program(".pulumi/plugins/resource-command-v1.2.1/pulumi-resource-command");
        await mkdir(join(root, "bin"));
        await symlink(standIn, join(root, "bin/pulumi-resource-command"));
        expect(found()).to.include({
            kind: "stand-in",
            described: "stand-in of synapse-migration for the official 1.2.1",
        });
        expect(found({ PULUMI_IGNORE_AMBIENT_PLUGINS: "true" }).kind).to.equal("official");
    });

    it("are official where PATH has a program, and unknown where it has somebody's script", async () => {
        await program("bin/pulumi-resource-command");
        expect(found()).to.include({ kind: "official", described: "official, on PATH, whatever version is asked for" });
        await program("bin/pulumi-resource-command", "#!/bin/sh\n");
        expect(found().kind).to.equal("unknown");
    });

    it("are those that Pulumi.yaml names, before all others", async () => {
        await program("bin/pulumi-resource-command");
        await mkdir(join(root, "own"));
        await symlink(standIn, join(root, "own/pulumi-resource-command"));
        const named = (version: string): string =>
            `name: x\nplugins: {providers: [{name: command, path: ./own${version}}]}\n`;
        await project(named(""));
        expect(found().kind).to.equal("stand-in");
        await project(named(", version: 1.0.0"));
        expect(found(), "another version is named").to.include({ kind: "official" });
        await rm(join(root, "own"), { recursive: true });
        await project(named(""));
        expect(found()).to.include({ kind: "unknown", described: "named in Pulumi.yaml, and not there" });
    });

    it("include the language host, which is the process that runs the program", async () => {
        const host = (...caller: string[]) => languageHost({ ...surroundings, caller }).kind;
        expect(host("node", standInHost, "127.0.0.1:1")).to.equal("stand-in");
        expect(host(await program("cli/pulumi-language-nodejs"), "-root=x", "127.0.0.1:1")).to.equal("official");
        expect(host("node", "mocha")).to.equal("unknown");
        expect(languageHost(surroundings).kind).to.equal("unknown");
    });

    it("are told in one word: offline with any stand-in, official only when all are", async () => {
        const caller = [await program("cli/pulumi-language-nodejs")];
        const word = () => runtimeEnvironment({ ...surroundings, caller })["plugins"];
        expect(word()).to.equal("unknown");
        await program(".pulumi/plugins/resource-command-v1.2.1/pulumi-resource-command");
        expect(word()).to.equal("official");
        expect(runtimeEnvironment({ ...surroundings, caller: ["node", standInHost] })).to.include({
            plugins: "offline",
            "pulumi-resource-command": "official, 1.2.1, in Pulumi's plugin directory",
            "pulumi-language-nodejs": "stand-in of synapse-migration for the official nodejs",
        });
    });
});
