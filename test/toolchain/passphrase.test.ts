/** Against what the real CLI makes of a passphrase, and says about it. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect } from "chai";
import { runProgram } from "../../engine/machines/program.ts";
import { MigrationError } from "../../engine/run/errors.ts";
import { passphraseNamed, passphraseProblem } from "../../toolchain/passphrase.ts";
import { PulumiProject } from "./pulumiProject.ts";

const right = "only of this test";

describe("the passphrase of a stack's secrets", function () {
    this.timeout(60_000);
    let project: PulumiProject;
    let stackFile: string;

    before(async () => {
        project = await PulumiProject.make({ "Pulumi.yaml": "name: probe\nruntime: nodejs\n" });
        stackFile = join(project.directory, "Pulumi.dev.yaml");
        await writeFile(join(project.directory, "right"), `${right}\n`);
        await writeFile(join(project.directory, "wrong"), "another");
    });
    after(() => project.remove());

    const file = (name: string): string => join(project.directory, name);
    /** What the real CLI says to the same variables; undefined when it is content. */
    async function saidByPulumi(variables: Readonly<Record<string, string>>): Promise<unknown> {
        const args = ["config", "set", "--secret", "probe", "--cwd", project.directory, "--stack", "dev"];
        const all = {
            ...project.toolchain.environment,
            HOME: project.directory,
            PULUMI_BACKEND_URL: `file://${file("state")}`,
            ...variables,
        };
        return runProgram(project.toolchain.program, ["--non-interactive", ...args], {
            environment: all,
            input: "x",
            timeoutSeconds: 60,
        }).then(
            () => undefined,
            (error: unknown) => passphraseNamed(error, "dev"),
        );
    }

    const cases: readonly [string, () => Record<string, string>, RegExp | undefined][] = [
        ["is right in the variable", () => ({ PULUMI_CONFIG_PASSPHRASE: right }), undefined],
        ["is right in the file", () => ({ PULUMI_CONFIG_PASSPHRASE_FILE: file("right") }), undefined],
        ["is missing", () => ({}), /^neither PULUMI_CONFIG_PASSPHRASE nor PULUMI_CONFIG_PASSPHRASE_FILE is set$/],
        ["is another one", () => ({ PULUMI_CONFIG_PASSPHRASE: "x" }), /^PULUMI_CONFIG_PASSPHRASE holds another/],
        ["is another one in the file", () => ({ PULUMI_CONFIG_PASSPHRASE_FILE: file("wrong") }), /wrong of .* another/],
        ["is in a file that is missing", () => ({ PULUMI_CONFIG_PASSPHRASE_FILE: file("no") }), /cannot be read$/],
        [
            "is hidden by an empty variable",
            () => ({ PULUMI_CONFIG_PASSPHRASE: "", PULUMI_CONFIG_PASSPHRASE_FILE: file("right") }),
            /^PULUMI_CONFIG_PASSPHRASE holds nothing$/,
        ],
    ];
    for (const [title, variables, found] of cases) {
        it(`${title}: we ${found === undefined ? "are content" : "say SM-E0221"} as Pulumi is, and change nothing`, async () => {
            const before = await project.read("Pulumi.dev.yaml");
            const problem = await passphraseProblem(stackFile, variables());
            const named = await saidByPulumi(variables());
            if (found === undefined) {
                expect([problem, named]).to.deep.equal([undefined, undefined]);
                return;
            }
            expect(problem?.code).to.equal("SM-E0221");
            expect(problem?.detail.found).to.match(found);
            expect(named).to.be.instanceOf(MigrationError).that.includes({ code: "SM-E0221" });
            expect(await project.read("Pulumi.dev.yaml")).to.equal(before);
        });
    }

    it("is not looked for where another provider keeps the secrets, nor judged in a format of a later Pulumi", async () => {
        for (const text of [
            "",
            "secretsprovider: awskms://x\n",
            "encryptionsalt: v2:abc\n",
            "encryptionsalt: v1:a:v1\n",
        ]) {
            await writeFile(file("other.yaml"), text);
            expect(await passphraseProblem(file("other.yaml"), { PULUMI_CONFIG_PASSPHRASE: "x" }), text).to.equal(
                undefined,
            );
        }
    });

    it("is not named where something else went wrong", () => {
        const other = new MigrationError("SM-E1101", { where: "pulumi", found: "no such stack" });
        expect(passphraseNamed(other, "dev")).to.equal(other);
        expect(passphraseNamed("text", "dev")).to.equal("text");
    });
});
