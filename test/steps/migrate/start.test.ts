import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { expect } from "chai";
import type { z } from "zod";
import type { startContract } from "../../../contract/index.ts";
import { tokenDigest, writeToken } from "../../../engine/fence/fenceToken.ts";
import { readWatermarks } from "../../../engine/fence/watermarks.ts";
import { freePort } from "../../../engine/machines/freePort.ts";
import { withClient } from "../../../engine/postgres/connection.ts";
import { advanceMarker, createMarker } from "../../../engine/postgres/databases/marker.ts";
import { runDirectoryPaths } from "../../../engine/run/runDirectory.ts";
import { contentDigester } from "../../../engine/run/specDigest.ts";
import {
    makeRehearsalDirectory,
    makeServiceDirectory,
    removeRehearsalDirectory,
} from "../../../rehearsal/directory.ts";
import { start } from "../../../steps/migrate/start.ts";
import { testCluster, testServerName, type TestCluster } from "../../support/cluster.ts";
import { expectError } from "../../support/expectError.ts";
import { testRun, type TestRun } from "../../support/stepRun.ts";

type Spec = z.infer<typeof startContract.spec>;

/** The public half is the one that ed25519 makes of 32 zero bytes. */
const key = { id: "ed25519:a_Test", seed: "A".repeat(43), verifyKey: "O2onvM62pC1io6jQKm8Nc2UyFXcd4kOmOsBIoYtZ2ik" };
const otherSeed = `B${"A".repeat(42)}`;

/**
 * In place of Synapse, as the program that is started: says that it was started, and then does as a test wants. A real one is started by the
 * end-to-end tests.
 */
const standIn = (body: string): string => `#!/bin/sh
echo "$@" > "$(dirname "$0")/started"
${body}
`;
const ends = "echo 'IncorrectDatabaseSetup: of course' >&2; exit 3";

describe("the step start", () => {
    let cluster: TestCluster;
    before(async () => {
        cluster = await testCluster();
    });

    interface Prepared {
        readonly spec: Spec;
        readonly run: TestRun;
        readonly sourceName: string;
        readonly targetName: string;
        /** Arguments that the target's program was started with; undefined when it was not. */
        readonly started: () => Promise<string | undefined>;
    }

    /** A fenced source, a target whose database is swapped in, and its files. */
    async function prepared(work: (prepared: Prepared) => Promise<void>, body = ends): Promise<void> {
        const directory = makeRehearsalDirectory();
        const target = makeServiceDirectory(join(directory, "target"));
        const run = testRun("r1", directory);
        try {
            const [sourceName, targetName] = [await cluster.createDatabase(), await cluster.createDatabase()];
            await cluster.query(sourceName, "CREATE TABLE users (name text); CREATE SEQUENCE stream", "synapse");
            await withClient(cluster.address(targetName), { step: "test" }, async (client) => {
                await createMarker(client, run.id, testServerName, "staged");
                await advanceMarker(client, run.id, ["staged"], "swapped");
            });
            const watermarks = await withClient(cluster.address(sourceName), { step: "test" }, readWatermarks);
            const token = { run: run.id, serverName: testServerName, fencedAt: new Date().toISOString(), watermarks };
            await writeToken(directory, token);
            const [python, signingKeyFile] = [join(target, "python"), join(target, "signing.key")];
            await writeFile(python, standIn(body), { mode: 0o755 });
            await writeFile(signingKeyFile, `ed25519 a_Test ${key.seed}\n`);
            const spec: Spec = {
                ...{ run: { id: run.id, directory }, source: await cluster.source(sourceName) },
                ...{ fenceToken: tokenDigest(token), proof: "0".repeat(64), swappedAt: new Date().toISOString() },
                ...{ python, configFiles: [join(target, "homeserver.yaml")], signingKeyFile },
                ...{ verifyKeys: { [key.id]: key.verifyKey }, database: cluster.target(targetName) },
                ...{ pidFile: join(target, "homeserver.pid"), logFile: join(target, "homeserver.log") },
                baseUrl: `http://127.0.0.1:${await freePort()}`,
            };
            const started = () => readFile(join(target, "started"), "utf8").catch(() => undefined);
            try {
                await work({ spec, run, sourceName, targetName, started });
            } finally {
                await start.undo?.(spec, run);
            }
        } finally {
            await removeRehearsalDirectory(directory);
        }
    }

    /** What is refused before anything is started. */
    const refused = (code: Parameters<typeof expectError>[0], spoil: (prepared: Prepared) => Promise<Partial<Spec>>) =>
        prepared(async (all) => {
            const change = await spoil(all);
            await expectError(code, () => start.act({ ...all.spec, ...change }, all.run));
            expect(await all.started()).to.equal(undefined);
        });

    it("refuses with SM-E0702 a source that has been written to after it was fenced", () =>
        refused("SM-E0702", async ({ sourceName }) => {
            await cluster.query(sourceName, "INSERT INTO users VALUES ('@late:x')");
            return {};
        }));

    it("refuses with SM-E0702 a source whose stream has moved, and one that somebody is connected to", async () => {
        await refused("SM-E0702", async ({ sourceName }) => {
            await cluster.query(sourceName, "SELECT nextval('stream')");
            return {};
        });
        await prepared(async ({ spec, run, sourceName, started }) => {
            await withClient(cluster.address(sourceName), { step: "test" }, async (client) => {
                await client.query("SET application_name = 'synapse'");
                const error = await expectError("SM-E0702", () => start.act(spec, run));
                expect(error.detail.found).to.contain('application "synapse"');
            });
            expect(await started()).to.equal(undefined);
        });
    });

    it("refuses with SM-E0703 a token that is not the fence's, and one that is gone", async () => {
        await refused("SM-E0703", () => Promise.resolve({ fenceToken: "0".repeat(64) }));
        await refused("SM-E0703", async ({ run }) => {
            await rm(join(run.directory, "fence-token.json"));
            return {};
        });
    });

    it("refuses with SM-E0716 a source that is not fenced, unless the target is isolated", async () => {
        await refused("SM-E0716", () => Promise.resolve({ fenceToken: undefined }));
        await prepared(async ({ spec, run }) => {
            const isolated = [...spec.configFiles, join(dirname(spec.pidFile), "isolation.yaml")];
            // It is started, and this stand-in ends at once.
            await expectError("SM-E0712", () =>
                start.act({ ...spec, fenceToken: undefined, configFiles: isolated }, run),
            );
        });
    });

    it("asks nothing of the source once the target is committed: it may be gone", () =>
        prepared(async ({ spec, run, sourceName, targetName }) => {
            await cluster.query(sourceName, "SELECT nextval('stream')");
            await withClient(cluster.address(targetName), { step: "test" }, (client) =>
                advanceMarker(client, run.id, ["swapped"], "committed"),
            );
            await expectError("SM-E0712", () => start.act(spec, run));
        }));

    it("names the public halves with SM-E0818, as two keys may have one id, and a file that is gone", () =>
        prepared(async ({ spec, run }) => {
            await writeFile(spec.signingKeyFile, `ed25519 a_Test ${otherSeed}\n`);
            const { detail } = await expectError("SM-E0818", () => start.act(spec, run));
            expect(detail.expected).to.contain(`ed25519:a_Test ${key.verifyKey}`);
            expect(detail.found)
                .to.match(/ed25519:a_Test [A-Za-z0-9+/]{43}$/)
                .and.not.contain(key.verifyKey);
            expect(detail.found).not.to.contain(otherSeed);
            await rm(spec.signingKeyFile);
            const gone = await expectError("SM-E0818", () => start.act(spec, run));
            expect(gone.detail.found).to.equal("there is no such file");
        }));

    it("names all that it refuses at once: another key, a source that was written to, a database of another run", () =>
        prepared(async ({ spec, run, sourceName, targetName }) => {
            await writeFile(spec.signingKeyFile, `ed25519 a_Test ${otherSeed}\n`);
            await cluster.query(sourceName, "INSERT INTO users VALUES ('@late:x')");
            await cluster.query(targetName, "UPDATE synapse_migration.marker SET run = 'another'");
            for (const code of ["SM-E0818", "SM-E0702", "SM-E0708"] as const)
                await expectError(code, () => start.act(spec, run));
        }));

    it("refuses with SM-E0818 a signing key that is not the source's alone, also an additional one", async () => {
        await refused("SM-E0818", async ({ spec }) => {
            await writeFile(spec.signingKeyFile, `ed25519 a_Test ${otherSeed}\n`);
            return {};
        });
        await refused("SM-E0818", async ({ spec }) => {
            await writeFile(spec.signingKeyFile, `ed25519 a_Test ${key.seed}\ned25519 a_More ${otherSeed}\n`);
            return {};
        });
    });

    it("refuses with SM-E0708 a database of another run, one without a marker, and one that was not swapped in", async () => {
        const marker = (statement: string) =>
            refused("SM-E0708", async ({ targetName }) => {
                await cluster.query(targetName, statement);
                return {};
            });
        await marker("UPDATE synapse_migration.marker SET run = 'another'");
        await marker("UPDATE synapse_migration.marker SET state = 'verified'");
        await marker("DROP SCHEMA synapse_migration CASCADE");
    });

    it("refuses with SM-E0841 files that are not as they were written, unless the target is committed", () =>
        prepared(async ({ spec, run, targetName, started }) => {
            const [file = ""] = spec.configFiles;
            await mkdir(join(run.directory, "evidence"));
            const digest = await contentDigester(runDirectoryPaths(run.directory).digestKey);
            const targetFiles = { [file]: digest("retention: {enabled: false}\n") };
            await writeFile(join(run.directory, "evidence", "configure.json"), JSON.stringify({ targetFiles }));
            await writeFile(file, "retention: {enabled: true}\n");
            const { detail } = await expectError("SM-E0841", () => start.act(spec, run));
            expect(detail.found).to.contain(`${file}, which the step configure wrote`);
            expect(await started()).to.equal(undefined);

            await withClient(cluster.address(targetName), { step: "test" }, (client) =>
                advanceMarker(client, run.id, ["swapped"], "committed"),
            );
            await expectError("SM-E0712", () => start.act(spec, run));
            expect(await started()).to.not.equal(undefined);
        }));

    it("fails with SM-E0712 and the end of its log when the target's homeserver ends at once", () =>
        prepared(async ({ spec, run, started }) => {
            const error = await expectError("SM-E0712", () => start.act(spec, run));
            expect(error.block).to.contain("IncorrectDatabaseSetup");
            expect(await started()).to.equal(`-m synapse.app.homeserver --config-path ${spec.configFiles[0] ?? ""}\n`);
        }));

    it("quotes the end of the log that the homeserver has opened itself, without its secrets, and no file that is put in its place", async () => {
        const secret = "a-form-secret-of-the-target";
        const says = `echo 'the module does not start: ${secret}' > "$(dirname "$0")/homeserver.log"; exit 3`;
        await prepared(async ({ spec, run }) => {
            await writeFile(spec.configFiles[0] ?? "", `server_name: x\nform_secret: ${secret}\n`);
            const error = await expectError("SM-E0712", () => start.act(spec, run));
            expect(error.block).to.contain("the module does not start: [secret]").and.not.to.contain(secret);
        }, says);
        const links = `cd "$(dirname "$0")"; rm -f homeserver.log; ln -s signing.key homeserver.log; exit 3`;
        await prepared(async ({ spec, run }) => {
            const error = await expectError("SM-E0712", () => start.act(spec, run));
            expect(error.block).not.to.contain("ed25519");
        }, links);
    });

    it("refuses with SM-E0818 a key that the homeserver has replaced while it started", () =>
        prepared(async ({ spec, run, started }) => {
            const { port } = new URL(spec.baseUrl);
            await writeFile(
                join(dirname(spec.signingKeyFile), "server.py"),
                `import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(b"{}")
server = http.server.HTTPServer(("127.0.0.1", ${port}), Handler)
os.remove("${spec.signingKeyFile}")
open("${spec.signingKeyFile}", "w").write("ed25519 a_Test ${otherSeed}\\n")
server.serve_forever()
`,
            );
            await expectError("SM-E0818", () => start.act(spec, run));
            expect(await started()).to.not.equal(undefined);
        }, 'exec python3 "$(dirname "$0")/server.py"'));
});
