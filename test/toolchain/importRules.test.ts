import { mkdir, readFile, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import { execa } from "execa";
import { z } from "zod";
import { withWorkDirectory } from "../support/workDirectory.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const importing = (...paths: readonly string[]): string => paths.map((path) => `import "${path}";\n`).join("");

/** One tree in which every rule is broken once, and what must be said about each file. */
const broken: readonly { readonly file: string; readonly content: string; readonly rule: string }[] = [
    { file: "contract/a.ts", content: importing("../engine/run/errors.ts"), rule: "contract-is-the-ground" },
    { file: "engine/run/a.ts", content: importing("../machines/program.ts"), rule: "engine-run" },
    { file: "engine/machines/a.ts", content: importing("../postgres/connection.ts"), rule: "engine-machines" },
    { file: "engine/postgres/a.ts", content: importing("../bundle/open.ts"), rule: "engine-postgres" },
    { file: "engine/media/a.ts", content: importing("../sqlite/port.ts"), rule: "engine-media" },
    { file: "engine/fence/a.ts", content: importing("../../steps/migrate/fence.ts"), rule: "engine-imports-down" },
    { file: "engine/cellar/a.ts", content: importing("../run/errors.ts"), rule: "engine-rooms-are-listed" },
    { file: "engine/gateway/a.ts", content: importing("./missing.ts"), rule: "not-resolved" },
    { file: "engine/probe/a.ts", content: importing("./b.ts"), rule: "no-circles" },
    { file: "engine/probe/b.ts", content: `import type {} from "./a.ts";\n`, rule: "no-circles" },
    { file: "steps/migrate/a.ts", content: importing("./fence.ts"), rule: "steps-do-not-know-each-other" },
    { file: "steps/cutover/a.ts", content: importing("../registry.ts"), rule: "steps-do-not-know-each-other" },
    { file: "steps/a.ts", content: importing("../components/gateway.ts"), rule: "commands-import-down" },
    { file: "steps/stage/a.ts", content: importing("@pulumi/pulumi"), rule: "data-plane-without-pulumi" },
    { file: "components/a.ts", content: importing("../engine/machines/program.ts"), rule: "components-know-contracts" },
    { file: "index.ts", content: importing("./steps/migrate/fence.ts"), rule: "components-know-contracts" },
    { file: "toolchain/a.ts", content: importing("../steps/migrate/fence.ts"), rule: "toolchain-imports-down" },
    { file: "rehearsal/a.ts", content: importing("../components/gateway.ts"), rule: "rehearsal-imports-down" },
    { file: "bench/a.ts", content: importing("../steps/migrate/fence.ts"), rule: "bench-imports-down" },
];
const sound: readonly (readonly [string, string])[] = [
    ["contract/b.ts", importing("zod")],
    ["engine/run/errors.ts", importing("../../contract/b.ts")],
    ["engine/machines/program.ts", importing("../run/errors.ts")],
    ["engine/postgres/connection.ts", importing("../machines/program.ts")],
    ["engine/bundle/open.ts", importing("../postgres/connection.ts")],
    ["engine/sqlite/port.ts", importing("../bundle/open.ts")],
    ["steps/migrate/fence.ts", importing("../../engine/sqlite/port.ts")],
    ["steps/registry.ts", importing("./migrate/fence.ts")],
    ["components/gateway.ts", importing("../contract/b.ts", "../engine/run/errors.ts", "@pulumi/pulumi")],
];
const output = z.object({
    summary: z.object({
        violations: z.array(z.object({ from: z.string(), rule: z.object({ name: z.string() }) })),
    }),
});

describe("the rules of who imports whom", function () {
    this.timeout(60_000);

    it("find every kind of import that is not allowed, and nothing else", async () => {
        await withWorkDirectory(async (directory) => {
            for (const [file, content] of [...sound, ...broken.map(({ file, content }) => [file, content] as const)]) {
                await mkdir(dirname(join(directory, file)), { recursive: true });
                await writeFile(join(directory, file), content);
            }
            await symlink(join(root, "node_modules"), join(directory, "node_modules"));
            for (const name of ["tsconfig.json", ".dependency-cruiser.mjs", "package.json"])
                await writeFile(join(directory, name), await readFile(join(root, name)));
            const { stdout } = await execa(
                process.execPath,
                [
                    join(root, "node_modules/dependency-cruiser/bin/dependency-cruise.mjs"),
                    ...["--output-type", "json", "index.ts"],
                    ...["components", "contract", "engine", "steps", "rehearsal", "toolchain", "bench"],
                ],
                { cwd: directory, reject: false },
            );
            const { violations } = output.parse(JSON.parse(stdout)).summary;
            const found = violations.map(({ from, rule }) => `${from}: ${rule.name}`);
            // A circle is told once for all files that are in it.
            const expected = broken.filter(({ file }) => file !== "engine/probe/b.ts");
            for (const { file, rule } of expected) expect(found).to.include(`${file}: ${rule}`);
            for (const [file] of sound)
                expect(
                    found.filter((line) => line.startsWith(`${file}:`)),
                    file,
                ).to.deep.equal([]);
        });
    });
});
