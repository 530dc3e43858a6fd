/** Whole moves of a homeserver on one machine into one that an installer has made on another: taken back to the letter, moved again, restarted. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect } from "chai";
import { z } from "zod";
import type { Service } from "../../contract/index.ts";
import { closeMachines } from "../../engine/machines/openMachine.ts";
import { lineProgress } from "../../engine/run/progress.ts";
import { redact } from "../../engine/run/redaction.ts";
import { checkHomeserver } from "../../rehearsal/check.ts";
import { makeRehearsalDirectory, removeRehearsalDirectory } from "../../rehearsal/directory.ts";
import { operator } from "../../rehearsal/machines/baseRecipe.ts";
import { describeMachine } from "../../rehearsal/machines/descriptions.ts";
import { bootMachine, type BootedMachine } from "../../rehearsal/machines/machine.ts";
import { PulumiStack } from "../../rehearsal/pulumiStack.ts";
import { registerCanary } from "../../rehearsal/source/canary.ts";
import type { Expectations } from "../../rehearsal/source/expectations.ts";
import type { HomeserverIdentity } from "../../rehearsal/source/identity.ts";
import { ensureToolchain } from "../../toolchain/toolchain.ts";
import { newcomer } from "../support/newcomer.ts";
import { untilTrue } from "../support/waiting.ts";

/** What is asked of both homeservers. */
interface Deployment {
    readonly machine: BootedMachine;
    readonly serverName: string;
    readonly baseUrl: string;
    readonly files: HomeserverIdentity;
    readonly configPaths: readonly string[];
    readonly expectations?: Expectations;
    answers(): Promise<boolean>;
    query(statements: string): Promise<string>;
}

/** What is particular to one pair of homeservers. */
export interface IntoMove<Old extends Deployment, Installed extends Deployment> {
    /** Of the stack and the machines: letters. */
    readonly name: string;
    /** Both under this name, the old one with people. */
    readonly serverName: string;
    readonly old: (machine: BootedMachine) => Promise<Old>;
    readonly installed: (machine: BootedMachine) => Promise<Installed>;
    readonly services: { readonly old: Service; readonly installed: Service };
    readonly signingKey: (old: Old) => Promise<string>;
    /** What a rollback has to bring back, as text, beside the database. */
    readonly state: (installed: Installed) => Promise<string>;
    /** What `init --to` has to have written of the installed one. */
    readonly isWritten: readonly RegExp[];
    /** Further tests, while nothing is staged. */
    readonly before?: (made: () => Pair<Old, Installed>) => void;
}

interface Pair<Old, Installed> {
    readonly old: Old;
    readonly installed: Installed;
    readonly stack: PulumiStack;
}

/** Describes the move as one suite. */
export function intoMove<Old extends Deployment, Installed extends Deployment>(
    title: string,
    move: IntoMove<Old, Installed>,
): void {
    describe(`the move of ${title} on another machine`, function () {
        this.timeout(1_800_000);
        const machines: BootedMachine[] = [];
        let pair: Pair<Old, Installed> | undefined;
        let directory: string;
        const said: string[] = [];

        const made = (): Pair<Old, Installed> => {
            if (pair === undefined) throw new Error("they were not made");
            return pair;
        };

        before(async () => {
            directory = makeRehearsalDirectory();
            const boot = async (): Promise<BootedMachine> => {
                const machine = await bootMachine({ name: move.name });
                machines.push(machine);
                return machine;
            };
            const [from, to] = [await boot(), await boot()];
            const old = await move.old(from);
            const installed = await move.installed(to);
            const stack = await stackOf(move, { old, installed, directory, said });
            pair = { old, installed, stack };
        });
        afterEach(function () {
            if (this.currentTest?.state === "failed") console.error(said.slice(-120).join("\n"));
            said.length = 0;
            return closeMachines();
        });
        after(async () => {
            await pair?.stack.destroy();
            expect(await removeRehearsalDirectory(directory)).to.deep.equal([]);
            for (const machine of machines) await machine.end();
        });

        /** What was installed, and how many rows each table has, but for the one that each start of Synapse adds to. */
        const fingerprint = async (): Promise<string> => {
            const { installed } = made();
            // The same object identifier: the very database, and no copy of it.
            const databases = await installed.query(
                "SELECT oid, datname, pg_get_userbyid(datdba) FROM pg_database ORDER BY 1",
            );
            const roles = await installed.query("SELECT rolname, rolsuper, rolcreatedb FROM pg_roles ORDER BY 1");
            const rows = await installed.query(
                "SELECT relname, (xpath('/row/c/text()', query_to_xml(format('select count(*) as c from %I', relname), false, true, '')))[1] FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND relname <> 'cache_invalidation_stream_by_instance' ORDER BY 1",
            );
            return [await move.state(installed), databases, roles, rows].join("\n");
        };
        let asInstalled = "";

        it("is described by init: both machines, where each value comes from, and what is asked of the operator", async () => {
            const { old, installed } = made();
            const login = (prefix: string, { machine }: Deployment): string[] => [
                ...[`--${prefix}sudo`, `--${prefix}identity`, machine.access.identityFile],
                ...[`--${prefix}host-key`, machine.access.hostKey],
            ];
            const at = ({ machine }: Deployment): string => `${operator}@${machine.address}`;
            const name = `init-${move.name}-${process.pid}`;
            const written = await newcomer(name);
            try {
                const asked = await written.synapseMigrate(
                    ...[
                        "init",
                        "--from",
                        at(old),
                        ...login("", old),
                        "--to",
                        at(installed),
                        ...login("to-", installed),
                    ],
                    ...["--stack", name, "--target-directory", join(written.directory, "target")],
                );
                expect(asked)
                    .to.contain("target.database.replace")
                    .and.to.match(/does an installer write its configuration/);
                const text = await readFile(written.stackFile, "utf8");
                expect(text).to.contain(`address: ${at(installed)}\n`);
                const target = text.slice(text.indexOf("target:\n"));
                expect(target).to.match(/ +kind: installed\n/);
                for (const pattern of move.isWritten) expect(target).to.match(pattern);
                expect(text).not.to.contain(installed.files.pepper).and.not.to.contain(old.files.pepper);
                expect(await written.pulumi(["preview"])).to.match(/of moved\.test[^]*findings: 0 blocking/);
            } finally {
                await written.remove();
            }
        });

        move.before?.(made);

        it("is assessed and staged while both serve", async () => {
            const { old, installed, stack } = made();
            asInstalled = await fingerprint();
            await stack.preview();
            await stack.up("stage");
            const { notRun } = await stack.outputs(z.looseObject({ notRun: z.array(z.string()) }));
            expect(notRun.filter((check) => check.startsWith("installed-"))).to.deep.equal([]);
            expect(await old.answers()).to.equal(true);
            expect(await installed.answers()).to.equal(true);
        });

        it("is started where no client finds it, and taken back without a trace, under another run as well", async () => {
            const { old, installed, stack } = made();
            await stack.up("migrate");
            expect(await old.answers()).to.equal(false);
            expect(await installed.answers(), "nobody gets in").to.equal(false);
            // Another run: its steps are done before those of the older one are taken back.
            await stack.set("run", "another");
            await stack.up("stage");
            await untilTrue(() => old.answers());
            await untilTrue(() => installed.answers());
            await stack.up("assess");
            expect(await fingerprint()).to.equal(asInstalled);
        });

        it("is the same server there, and stays it through a reboot", async () => {
            const { old, installed, stack } = made();
            await stack.up("cutover");
            expect(await old.answers()).to.equal(false);
            const { gatewayUrl } = await stack.outputs(z.looseObject({ gatewayUrl: z.string() }));
            expect(gatewayUrl).to.equal(`${installed.baseUrl}/`);
            const { expectations } = old;
            if (expectations === undefined) throw new Error("nobody uses it");
            const progress = lineProgress("check", () => undefined, redact);
            const whole = async (): Promise<void> => {
                const checks = await checkHomeserver({ baseUrl: installed.baseUrl, expectations, progress });
                expect(checks.filter(({ passed }) => !passed)).to.deep.equal([]);
            };
            await whole();
            await stack.up("cutover", "--expect-no-changes");
            await installed.machine.reboot();
            await untilTrue(() => installed.answers());
            await stack.up("finish");
            await whole();
            expect(await old.answers()).to.equal(false);
        });
    });
}

async function stackOf<Old extends Deployment, Installed extends Deployment>(
    { name, services, serverName, signingKey }: IntoMove<Old, Installed>,
    {
        old,
        installed,
        directory,
        said,
    }: { readonly old: Old; readonly installed: Installed; readonly directory: string; readonly said: string[] },
): Promise<PulumiStack> {
    const { pulumi, postgres, synapse } = await ensureToolchain(
        { pulumi: true, postgres: true, synapse: true },
        () => undefined,
    );
    if (pulumi === undefined || postgres === undefined || synapse === undefined) throw new Error("no toolchain");
    const canary = await registerCanary(old, "installed");
    const described = ({ machine, configPaths }: Deployment, service: Service) => ({
        ...{ machine: describeMachine(machine, "sudo"), service, homeserverConfig: configPaths },
    });
    return PulumiStack.create({
        name: `${name}-${process.pid}`,
        pulumi,
        projectDirectory: join(import.meta.dirname, "../.."),
        directory: join(directory, "pulumi"),
        config: {
            ...{ serverName, phase: "assess", disposable: true },
            source: { kind: "selfHosted", ...described(old, services.old) },
            target: {
                ...{ kind: "installed", ...described(installed, services.installed), database: { replace: true } },
                directory: join(directory, "target"),
                synapsePython: synapse.python,
                postgresPrograms: postgres.directory,
            },
            workDirectory: join(directory, "work"),
            ...{ canaryUser: canary.user, canaryBaseUrl: old.baseUrl },
        },
        secrets: {
            signingKey: await signingKey(old),
            macaroonSecretKey: old.files.macaroonSecretKey,
            pepper: old.files.pepper,
            canaryPassword: canary.password,
        },
        progress: lineProgress("pulumi", (line) => void said.push(line), redact),
        signal: new AbortController().signal,
    });
}
