import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import {
    makeRehearsalDirectory,
    makeServiceDirectory,
    processesBelow,
    removeRehearsalDirectory,
} from "../../rehearsal/directory.ts";
import { expectError } from "../support/expectError.ts";
import { serviceUser } from "../../engine/machines/serviceUser.ts";

describe("the rehearsal's directory", () => {
    let state: string;
    const before = process.env["XDG_STATE_HOME"];

    beforeEach(() => {
        state = mkdtempSync(join(tmpdir(), "rehearsal-state-"));
        process.env["XDG_STATE_HOME"] = state;
    });

    afterEach(() => {
        if (before === undefined) delete process.env["XDG_STATE_HOME"];
        else process.env["XDG_STATE_HOME"] = before;
        rmSync(state, { recursive: true, force: true });
    });

    it("is closed to everybody but us and the user that servers run as", async () => {
        const directory = makeRehearsalDirectory();
        expect(statSync(directory).mode & 0o007).to.equal(0);
        const inner = makeServiceDirectory(join(directory, "inner"));
        expect(statSync(inner).mode & 0o077).to.equal(0);
        expect(statSync(inner).uid).to.equal(serviceUser()?.uid ?? process.getuid?.());
        await removeRehearsalDirectory(directory);
    });

    it("lies where the service user can pass, whatever is closed", async function () {
        if (serviceUser() === undefined) expect(makeRehearsalDirectory()).to.match(new RegExp(`^${state}/`));
        else {
            // mkdtemp makes it 0700 and root's.
            const directory = makeRehearsalDirectory();
            expect(directory).to.match(/^\/var\/lib\/synapse-migration\/rehearsal-[0-9a-f]{8}$/);
            await removeRehearsalDirectory(directory);
        }
    });

    it("is removed with what runs from it, which is named, and nothing else is ended", async () => {
        const directory = makeRehearsalDirectory();
        const script = join(directory, "stubborn.mjs");
        writeFileSync(script, "process.on('SIGTERM', () => {}); console.log('up'); setInterval(() => {}, 1000);");
        const ours = spawn(process.execPath, [script], { stdio: ["ignore", "pipe", "ignore"] });
        const other = spawn("sleep", ["60"]);
        try {
            await once(ours.stdout, "data");
            const leftovers = await removeRehearsalDirectory(directory);
            expect(leftovers.map(({ pid }) => pid)).to.deep.equal([ours.pid]);
            expect(leftovers[0]?.command).to.include("stubborn.mjs");
            expect(existsSync(directory)).to.equal(false);
            expect(processesBelow(directory)).to.deep.equal([]);
            expect(other.exitCode).to.equal(null);
        } finally {
            ours.kill("SIGKILL");
            other.kill("SIGKILL");
        }
    }).timeout(30_000);

    it("stays, with SM-E1191 that names the process, where something is started there again and again", async () => {
        const directory = makeRehearsalDirectory();
        // Runs from elsewhere, and does not name the directory: as a process manager of the machine would.
        const script = `const { spawn } = require("node:child_process");
            const again = () => spawn("sleep", ["60"], { cwd: process.env.PLACE }).once("exit", again).once("spawn", () => console.log("up"));
            again();`;
        const manager = spawn(process.execPath, ["-e", script], {
            env: { ...process.env, PLACE: directory },
            stdio: ["ignore", "pipe", "ignore"],
        });
        try {
            await once(manager.stdout, "data");
            const { detail } = await expectError("SM-E1191", () => removeRehearsalDirectory(directory));
            expect(detail.where).to.equal(directory);
            expect(detail.found).to.match(/^process \d+ \(sleep 60\) did not end within 10 s$/);
            expect(existsSync(directory)).to.equal(true);
        } finally {
            manager.kill("SIGKILL");
            await removeRehearsalDirectory(directory);
        }
    }).timeout(60_000);
});
