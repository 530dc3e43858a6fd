import { readlinkSync } from "node:fs";
import { readdir, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { expect } from "chai";
import { isScript } from "../../toolchain/findProgram.ts";
import type { PulumiCli } from "../../toolchain/pulumiCli.ts";
import { ensurePlugins, failureFile, findPlugins, type Plugin } from "../../toolchain/pulumiPlugins.ts";
import { pulumiEnvironment } from "../../toolchain/toolchain.ts";
import { pulumiVersion } from "../../toolchain/versions.ts";
import { FakeMachine, keptProgress } from "./fakeMachine.ts";

const bin = `pulumi/versions/${pulumiVersion}/bin`;
const installed = "pulumi/plugins/resource-command-v1.2.1/pulumi-resource-command";
const kindsOf = (plugins: readonly Plugin[]): string[] => plugins.map(({ kind }) => kind);

describe("the Pulumi plugins", () => {
    let machine: FakeMachine;
    let cli: PulumiCli;
    beforeEach(async () => {
        machine = await FakeMachine.make();
        cli = { program: await machine.program(`${bin}/pulumi`), version: pulumiVersion };
        machine.answer = () => undefined;
    });
    afterEach(() => machine.remove());

    it("are the official ones where they are: beside the CLI, and in Pulumi's plugin directory", async () => {
        await machine.program(`${bin}/pulumi-language-nodejs`);
        await machine.program(installed);
        expect(kindsOf(await ensurePlugins(machine, cli, keptProgress()))).to.deep.equal(["official", "official"]);
        expect(machine.runs).to.deep.equal([]);
    });

    it("are the official ones of PATH too, but never a script, which is a stand-in of some checkout", async () => {
        await machine.program("bin/pulumi-language-nodejs", "#!/usr/bin/env node\n");
        await machine.program("bin/pulumi-resource-command");
        expect(kindsOf(findPlugins(machine, cli))).to.deep.equal(["stand-in", "official"]);
    });

    it("do not count while Pulumi has not finished to unpack them", async () => {
        await machine.program(installed);
        await writeFile(`${dirname(join(machine.root, installed))}.partial`, "");
        expect(kindsOf(findPlugins(machine, cli))).to.deep.equal(["stand-in", "stand-in"]);
    });

    it("are installed from the plugin host where that answers", async () => {
        machine.answer = async (_, args) => {
            if (args[1] === "install") await machine.program(installed);
            return "";
        };
        expect(kindsOf(await ensurePlugins(machine, cli, keptProgress()))).to.deep.equal(["stand-in", "official"]);
        expect(machine.runs).to.deep.equal([`${bin}/pulumi plugin install resource command v1.2.1`]);
    });

    it("are stand-ins where it does not answer, and it is asked again only after a day", async () => {
        for (let round = 0; round < 2; round++)
            expect(kindsOf(await ensurePlugins(machine, cli, keptProgress()))).to.deep.equal(["stand-in", "stand-in"]);
        expect(machine.runs).to.have.length(1);
        await writeFile(failureFile(machine), JSON.stringify({ failedAt: Date.now() - 25 * 60 * 60 * 1000 }));
        await ensurePlugins(machine, cli, keptProgress());
        expect(machine.runs).to.have.length(2);
    });

    it("stand beside the CLI as links while they are needed, so that `npx pulumi` finds them", async () => {
        const standIns = await ensurePlugins(machine, cli, keptProgress());
        for (const { name, path } of standIns) {
            expect(readlinkSync(join(machine.root, bin, name))).to.equal(path);
            expect(isScript(path)).to.equal(true);
        }
        await machine.program(installed);
        await machine.program("bin/pulumi-language-nodejs");
        expect(kindsOf(await ensurePlugins(machine, cli, keptProgress()))).to.deep.equal(["official", "official"]);
        expect(await readdir(join(machine.root, bin))).to.deep.equal(["pulumi"]);
    });

    it("are linked anew when the checkout that they pointed to is gone", async () => {
        const link = join(machine.root, bin, "pulumi-resource-command");
        await symlink("/nowhere/toolchain/offline/command/pulumi-resource-command", link);
        const [, standIn] = await ensurePlugins(machine, cli, keptProgress());
        expect(readlinkSync(link)).to.equal(standIn?.path);
    });

    it("are put first on PATH where they are stand-ins, and only then is acquisition switched off", async () => {
        await machine.program(`${bin}/pulumi-language-nodejs`);
        const offline = pulumiEnvironment(machine, cli, findPlugins(machine, cli));
        expect(offline["PATH"])
            .to.match(/^[^:]*\/toolchain\/offline\/command:/)
            .and.not.to.include("offline/nodejs");
        expect(offline).to.have.property("PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION", "true");
        await machine.program(installed);
        const official = pulumiEnvironment(machine, cli, findPlugins(machine, cli));
        expect(official["PATH"]).to.match(new RegExp(`^${join(machine.root, bin)}:`));
        expect(official).not.to.have.property("PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION");
        for (const environment of [offline, official])
            expect(environment).not.to.have.property("PULUMI_IGNORE_AMBIENT_PLUGINS");
    });
});
