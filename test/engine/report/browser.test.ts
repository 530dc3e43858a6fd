import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { expect } from "chai";
import { z } from "zod";
import { writeReport } from "../../../engine/report/write.ts";
import { withPage } from "./browser.ts";
import { environment, evidence, failed, fenced, migrated, runDirectory, staged, type Line } from "./fixtures.ts";

describe("report.html in Chromium", function () {
    this.timeout(60_000);

    /** Opens the report of a run; everything is removed again whatever the test does. */
    async function open(
        lines: readonly Line[],
        files: Readonly<Record<string, unknown>>,
        work: Parameters<typeof withPage>[1],
    ): Promise<string> {
        const { directory, remove } = await runDirectory(lines, files);
        try {
            const { html } = await writeReport(join(directory, "report"), {
                run: { id: "a1b2c3", directory },
                phase: "cutover",
                environment,
            });
            await withPage(html, work);
            return pathToFileURL(html).href;
        } finally {
            await remove();
        }
    }

    it("shows all sections, asks for nothing but itself, complains of nothing, and fits 380 pixels", async () => {
        const requests: string[] = [];
        const address = await open(migrated, evidence, async (page) => {
            const text = z.string().parse(await page.evaluate("document.body.innerText"));
            for (const content of [
                "example.org",
                "Proven the same server",
                "Offline plugins in use",
                "50.7",
                "guest-token",
            ]) {
                expect(text).to.contain(content);
            }
            const headings = z
                .string()
                .parse(await page.evaluate("[...document.querySelectorAll('h2')].map((h) => h.innerText).join()"));
            expect(headings).to.equal(
                "Proven the same server,Offline plugins in use,Timeline,Findings,Proofs,Tables,Media,Errors,Versions and plugins",
            );
            expect(
                await page.evaluate("document.querySelector('svg.timeline').getBoundingClientRect().height > 400"),
            ).to.equal(true);
            await page.call("Emulation.setDeviceMetricsOverride", {
                width: 380,
                height: 800,
                deviceScaleFactor: 1,
                mobile: true,
            });
            await page.evaluate("document.querySelectorAll('details').forEach((d) => (d.open = true))");
            expect(await page.evaluate("document.documentElement.scrollWidth")).to.equal(380);
            expect(page.complaints).to.deep.equal([]);
            requests.push(...page.requests);
        });
        expect(requests).to.deep.equal([address]);
    });

    it("is readable in the dark, and its tables stay tables for screen readers when they are shown as cards", async () => {
        await open(migrated, evidence, async (page) => {
            const background = "getComputedStyle(document.body).backgroundColor";
            const light = await page.evaluate(background);
            await page.call("Emulation.setEmulatedMedia", {
                features: [{ name: "prefers-color-scheme", value: "dark" }],
            });
            expect(await page.evaluate(background)).not.to.equal(light);
            await page.call("Emulation.setDeviceMetricsOverride", {
                width: 380,
                height: 800,
                deviceScaleFactor: 1,
                mobile: true,
            });
            const { nodes } = z
                .object({
                    nodes: z.array(
                        z.object({
                            role: z.object({ value: z.unknown() }).optional(),
                            name: z.object({ value: z.unknown() }).optional(),
                        }),
                    ),
                })
                .parse(await page.call("Accessibility.getFullAXTree"));
            const roles = nodes.map(({ role }) => role?.value);
            expect(roles).to.include.members([
                "main",
                "banner",
                "navigation",
                "table",
                "rowheader",
                "columnheader",
                "cell",
            ]);
            expect(nodes.find(({ role }) => role?.value === "image" || role?.value === "img")?.name?.value).to.contain(
                "Timeline of the steps",
            );
        });
    });

    it("prints what is folded on the screen", async () => {
        await open(migrated, evidence, async (page) => {
            const shown =
                "[...document.querySelectorAll('details:not([open]) table')].map((table) => table.checkVisibility())";
            expect(await page.evaluate(shown))
                .to.include(false)
                .and.not.to.include(true);
            await page.call("Emulation.setEmulatedMedia", { media: "print" });
            expect(await page.evaluate(shown))
                .to.include(true)
                .and.not.to.include(false);
            expect(await page.evaluate("getComputedStyle(document.querySelector('nav')).display")).to.equal("none");
        });
    });

    it("runs no script and loads no image that a text in the evidence brings along", async () => {
        const hostile = `<script>document.title="taken"</script><img src="http://127.0.0.1:9/x"><svg onload="document.title='taken'">`;
        const files = {
            verify: { checks: [{ id: hostile, state: "failed", evidence: hostile.repeat(20) }] },
            assess: { versions: { [hostile]: hostile } },
        };
        await open([...staged, ...fenced, ...failed("verify", 3610, 1, "SM-E1101", hostile)], files, async (page) => {
            expect(await page.evaluate("document.title")).to.equal("example.org: Failed in verify");
            expect(
                await page.evaluate("document.querySelectorAll('script, img, link, iframe, [onload]').length"),
            ).to.equal(0);
            expect(page.requests).to.have.length(1);
            expect(page.complaints).to.deep.equal([]);
        });
    });
});
