import { mkdirSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import { MigrationError } from "../../engine/run/errors.ts";
import { until } from "../../engine/run/until.ts";
import { makeTestStack, type TestStack } from "../support/e2eStack.ts";
import { powerCut } from "../support/powerCut.ts";
import { isTheServer, remainsOf } from "../support/remains.ts";
import { makeSmallDisk, type SmallDisk } from "../support/smallDisk.ts";
import { smallPopulation, startTestSynapse, type TestSynapse } from "../support/synapse.ts";

const fillOnce = fileURLToPath(new URL("../support/fillOnce.mjs", import.meta.url));
/** The newly made cluster, its log files, the copy of a small database. */
const megabytes = 700;
/** Far more than there are steps. */
const mostAttempts = 60;

describe("a move whose disk fills up in each of its steps", function () {
    this.timeout(2_400_000);
    let synapse: TestSynapse | undefined;
    let disk: SmallDisk | undefined;
    after(async () => {
        if (disk !== undefined && synapse !== undefined) {
            await powerCut(join(synapse.directory, "target"));
            await disk.remove();
        }
        await synapse?.stop();
    });

    it("goes on when there is room again, and says each time what was full", async function () {
        synapse = await startTestSynapse({ population: smallPopulation });
        disk = await makeSmallDisk(synapse.directory, megabytes);
        if (disk === undefined) {
            console.log("      not run: file systems cannot be mounted here; run it as root");
            return this.skip();
        }
        for (const path of ["target", "work"]) await disk.showAt(join(synapse.directory, path));
        mkdirSync(`${disk.directory}.filled`);
        const environment = { NODE_OPTIONS: `--import=${fillOnce}`, SYNAPSE_MIGRATION_TEST_FILL: disk.directory };
        const made = await makeTestStack(synapse, { acknowledge: "SM-W0745" }, { environment });
        const failures = await untilItIsThrough(made, disk.directory);
        await isTheServerAgain(synapse, made);
        const { steps, pending } = await remainsOf(synapse, made);
        expect(pending).to.deep.equal([]);
        expect(readdirSync(`${disk.directory}.filled`).sort()).to.deep.equal([...steps].sort());
        expect(failures, "steps that had no room").to.have.length.greaterThan(8);
        for (const said of failures) {
            const end = said.slice(-4000);
            expect(said, end).to.match(/SM-E\d{4}/);
            // A server whose log finds no room ends itself, and its clients learn nothing else.
            expect(said, end).to.match(/no space left|not enough free disk space|SM-E1102/i);
            expect(said, end).not.to.include("a defect of synapse-migration");
        }
        console.log(`      ${failures.length} times no room`);
    });
});

/** Synapse has met the full disk, too: connections that its database has ended are dropped at their next use. */
async function isTheServerAgain(synapse: TestSynapse, made: TestStack): Promise<void> {
    let missing: unknown;
    await until(
        () =>
            isTheServer(synapse, made).then(
                () => true,
                (error: unknown) => void (missing = error),
            ),
        { seconds: 60, everyMilliseconds: 1000 },
        () => new Error("it is not the server again", { cause: missing }),
    );
}

/** @returns what each attempt that failed said */
async function untilItIsThrough({ stack, listener }: TestStack, directory: string): Promise<string[]> {
    const failures: string[] = [];
    for (let attempt = 1; attempt <= mostAttempts; attempt++) {
        const said = listener.lines.length;
        const ended = await stack.up("finish").then(
            () => true,
            (error: unknown) => {
                if (!(error instanceof MigrationError)) throw error;
                return false;
            },
        );
        const ballast = readdirSync(directory).filter((name) => name.startsWith("ballast."));
        for (const name of ballast) rmSync(join(directory, name));
        if (!ended) failures.push(listener.lines.slice(said).join("\n"));
        else if (ballast.length === 0) return failures;
    }
    throw new Error(`it did not end in ${mostAttempts} attempts`);
}
