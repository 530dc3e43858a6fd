import { readdir, readFile } from "node:fs/promises";
import { expect } from "chai";
import { check, resolveConfig } from "prettier";
import { errorCatalogue, exitCodes } from "../../../engine/run/errorCatalogue.ts";
import { errorsPage, errorsPagePath } from "../../../engine/run/errorsPage.ts";

const root = new URL("../../../", import.meta.url);
const sourceFolders = ["contract", "engine", "steps", "components", "toolchain", "rehearsal", "bench"];
/** In quotes, and neither compared with nor acknowledged. */
const raisedCode = /(?<![=!]== |acknowledge: )["'`](SM-[EW]\d{4})["'`]/g;
const isComment = (line: string): boolean => /^\s*(\/?\*|\/\/)/.test(line);

/** The codes in all files of the folders but the catalogue's, which has all of them. */
async function codesIn(
    folders: readonly string[],
    find: (text: string) => readonly RegExpMatchArray[],
): Promise<ReadonlySet<string | undefined>> {
    const files = await Promise.all(
        folders.map(async (folder) => {
            const names = await readdir(new URL(folder, root), { recursive: true });
            return names.filter((name) => /\.(ts|mjs|py)$/.test(name)).map((name) => `${folder}/${name}`);
        }),
    );
    const read = files.flat().filter((name) => !name.startsWith("engine/run/catalogue/"));
    const texts = await Promise.all(read.map((name) => readFile(new URL(name, root), "utf8")));
    return new Set(texts.flatMap((text) => find(text).map(([, code]) => code)));
}

describe("the page of errors", () => {
    it("is up to date: `node --import tsx engine/run/errorsPage.ts` writes it anew", async () => {
        expect(await readFile(errorsPagePath, "utf8")).to.equal(errorsPage());
    });

    it("has a heading for every code, so that the address in an error block leads to it", () => {
        const headings = errorsPage()
            .split("\n")
            .filter((line) => line.startsWith("## SM-"));
        expect(headings).to.deep.equal(
            Object.keys(errorCatalogue)
                .sort()
                .map((code) => `## ${code}`),
        );
    });

    it("lists every exit code", () => {
        for (const code of Object.values(exitCodes)) expect(errorsPage()).to.contain(`\n- ${code}: `);
    });

    it("keeps what is not code from becoming markup", () => {
        const page = errorsPage({
            "SM-E9999": { family: "usage", title: "a <b> *c* `d_e`", why: "x_y_z", fix: "`*`?" },
        });
        expect(page)
            .to.contain("**A \\<b> \\*c\\* `d_e`**")
            .and.to.contain("x\\_y\\_z")
            .and.to.contain("What to do: `*`?");
    });

    it("is formatted as everything else in this repository", async () => {
        const options = (await resolveConfig(errorsPagePath)) ?? {};
        expect(await check(errorsPage(), { ...options, filepath: errorsPagePath })).to.equal(true);
    });
});

describe("the error catalogue", () => {
    it("has only codes of the one form, E for errors and W for warnings", () => {
        for (const code of Object.keys(errorCatalogue)) expect(code).to.match(/^SM-[EW]\d{4}$/);
    });

    it("gives no code a second meaning in another of its files", async () => {
        const directory = new URL("../../../engine/run/catalogue/", import.meta.url);
        const codes = (
            await Promise.all((await readdir(directory)).map((name) => readFile(new URL(name, directory), "utf8")))
        )
            .flatMap((text) => [...text.matchAll(/^ {4}"(SM-[EW]\d{4})": /gm)])
            .map(([, code]) => code);
        expect(codes.sort()).to.deep.equal(Object.keys(errorCatalogue).sort());
    });

    it("has only codes that the source raises", async () => {
        const raised = await codesIn(sourceFolders, (text) =>
            text.split("\n").flatMap((line) => (isComment(line) ? [] : [...line.matchAll(raisedCode)])),
        );
        expect(Object.keys(errorCatalogue).filter((code) => !raised.has(code))).to.deep.equal([]);
    });

    it("has only codes that some test names: who adds one shows the input that raises it", async () => {
        const named = await codesIn(["test"], (text) => [...text.matchAll(/(SM-[EW]\d{4})/g)]);
        expect(Object.keys(errorCatalogue).filter((code) => !named.has(code))).to.deep.equal([]);
    });

    it("says for every code what is the case, why it matters and what to do, without a final dot in the title", () => {
        for (const [code, { title, why, fix }] of Object.entries(errorCatalogue)) {
            for (const text of [title, why, fix]) expect(text, code).to.match(/^\S.*\S$/);
            expect(title, code).not.to.match(/[.!]$/);
        }
    });
});
