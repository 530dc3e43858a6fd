import { expect } from "chai";
import { spawn } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { chmodSync, existsSync, readdirSync } from "node:fs";
import { chmod, mkdir, mkdtemp, rm } from "node:fs/promises";
import { createConnection, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import { thisMachine } from "../../../../engine/machines/local/localMachine.ts";
import { namedUser } from "../../../../engine/machines/namedUser.ts";
import { allProcesses } from "../../../../engine/machines/procfs.ts";
import { closeRelays, relayHere } from "../../../../engine/machines/relay/localRelay.ts";
import { expectError } from "../../../support/expectError.ts";
import { untilTrue } from "../../../support/waiting.ts";

const own = process.geteuid?.() ?? 0;
const asRoot = own === 0;
const mebibyte = 1024 * 1024;

/** All that comes until the other side ends. */
async function allOf(stream: Readable): Promise<Buffer> {
    const chunks: Buffer[] = [];
    stream.on("data", (chunk: Buffer) => chunks.push(chunk));
    await once(stream.resume(), "end");
    return Buffer.concat(chunks);
}

const digest = (data: Buffer): string => createHash("sha256").update(data).digest("hex");

/** Numbers of the processes that relay for a process, the program and what it has started as another user. */
async function relaysOf(parent: number): Promise<number[]> {
    const all = await allProcesses(thisMachine);
    const own = all.filter((one) => one.parent === parent && one.argv.some((word) => word.includes("socket_relay")));
    return [...own, ...all.filter((one) => own.some(({ pid }) => pid === one.parent))].map(({ pid }) => pid);
}

describe("a relay to a socket", () => {
    let directory: string;
    let target: string;
    let place: string;
    let server: Server;
    let serve: (socket: Socket) => void;

    const relay = () => relayHere(target, own, { place });
    const connect = async (): Promise<Socket> => {
        const socket = createConnection({ path: (await relay()).socket, allowHalfOpen: true });
        await once(socket, "connect");
        return socket;
    };

    beforeEach(async () => {
        directory = await mkdtemp(join(tmpdir(), "synapse-migration-test-"));
        target = join(directory, ".s.PGSQL.5432");
        place = join(directory, "relays");
        await chmod(directory, 0o711);
        await mkdir(place, { mode: 0o711 });
        serve = (socket) => socket.pipe(socket);
        server = createServer({ allowHalfOpen: true }, (socket) => {
            socket.on("error", () => undefined);
            serve(socket);
        });
        server.listen(target);
        await once(server, "listening");
        chmodSync(target, 0o777);
    });

    afterEach(async () => {
        await closeRelays();
        server.close();
        await rm(directory, { recursive: true });
    });

    it("brings what is sent, byte for byte, on many connections at once, and leaves nothing behind", async function () {
        this.timeout(60_000);
        const sent = Array.from({ length: 60 }, (_, index) =>
            randomBytes(index < 4 ? 16 * mebibyte + index : 65_537 + index),
        );
        const received = await Promise.all(
            sent.map(async (data) => {
                const socket = await connect();
                const coming = allOf(socket);
                socket.end(data);
                return digest(await coming);
            }),
        );
        expect(received).to.deep.equal(sent.map(digest));
        await closeRelays();
        expect(readdirSync(place)).to.deep.equal([]);
        expect(await relaysOf(process.pid)).to.deep.equal([]);
    });

    it("tells the end of one direction alone: an answer to all that was sent comes after it", async () => {
        serve = (socket) => void allOf(socket).then((data) => socket.end(`${data.length} bytes`));
        const socket = await connect();
        const answer = allOf(socket);
        socket.end(randomBytes(3 * mebibyte));
        expect((await answer).toString()).to.equal(`${3 * mebibyte} bytes`);
    });

    it("takes no more than the other side does", async function () {
        this.timeout(60_000);
        // It tries the socket when it starts.
        await relay();
        let taken: Socket | undefined;
        serve = (socket) => (taken = socket.pause());
        const socket = await connect();
        const data = randomBytes(64 * mebibyte);
        socket.end(data);
        // A second connection there and back: by then what the first one could send it has sent, or a relay without a bound is taking it.
        await untilTrue(() => Promise.resolve(taken !== undefined));
        const first = taken;
        serve = (other) => other.pipe(other);
        for (let round = 0; round < 20; round++) {
            const other = await connect();
            const echoed = allOf(other);
            other.end(randomBytes(mebibyte));
            expect((await echoed).length).to.equal(mebibyte);
        }
        expect(socket.writableFinished).to.equal(false);
        if (first === undefined) throw new Error("nobody was connected");
        const coming = allOf(first);
        expect(digest(await coming)).to.equal(digest(data));
        first.destroy();
        socket.destroy();
    });

    it("passes on what a side has said last before it was gone, and that it is gone", async () => {
        serve = (socket) => {
            socket.write("FATAL", () => socket.destroy());
        };
        const left = await connect();
        left.on("error", () => undefined);
        expect((await allOf(left)).toString()).to.equal("FATAL");
        left.destroy();
        const gone = new Promise((resolve) => {
            serve = (socket) => socket.once("end", resolve).resume();
        });
        (await connect()).destroy();
        await gone;
    });

    it("lets go of a connection whose server is not there, and serves the next one when it is", async () => {
        await relay();
        server.close();
        const socket = createConnection((await relay()).socket);
        socket.on("error", () => undefined);
        await once(socket, "close");
        server.listen(target);
        await once(server, "listening");
        const next = await connect();
        next.end("here");
        expect((await allOf(next)).toString()).to.equal("here");
    });

    it("is gone, with its directory, when the process that it belongs to is killed", async function () {
        this.timeout(60_000);
        const script = fileURLToPath(import.meta.resolve("./relayOwner.ts"));
        const owner = spawn(process.execPath, ["--import", "tsx", script, target, String(own), place], {
            stdio: ["ignore", "pipe", "inherit"],
        });
        const [socket] = (await once(createInterface(owner.stdout), "line")) as [string];
        const processes = await relaysOf(owner.pid ?? 0);
        expect([existsSync(socket), processes.length]).to.deep.equal([true, 2]);
        const connection = createConnection(socket);
        await once(connection, "connect");
        owner.kill("SIGKILL");
        await once(connection.resume(), "close");
        await untilTrue(async () => {
            const left = (await allProcesses(thisMachine)).filter(({ pid }) => processes.includes(pid));
            return left.length === 0 && readdirSync(place).length === 0;
        });
    });

    it("ends when its own process is killed, and the next one removes what that has left", async () => {
        const { socket } = await relay();
        const [program = 0, helper = 0] = await relaysOf(process.pid);
        process.kill(program, "SIGKILL");
        await untilTrue(
            async () => !(await allProcesses(thisMachine)).some(({ pid }) => pid === helper || pid === program),
        );
        expect(existsSync(socket)).to.equal(true);
        const next = await relay();
        expect([existsSync(socket), next.socket === socket]).to.deep.equal([false, false]);
        expect(readdirSync(place)).to.deep.equal([dirname(next.socket).slice(place.length + 1)]);
    });

    it("is not made for a user whom nobody knows, nor where everybody may write (SM-E1442)", async () => {
        const unknown = await expectError("SM-E1442", () => relayHere(target, "nobody-has-this-name", { place }));
        expect(unknown.detail.found).to.equal("as user nobody-has-this-name: there is no user nobody-has-this-name");
        await chmod(place, 0o777);
        const open = await expectError("SM-E1442", () => relay());
        expect(open.detail.found).to.match(/may be written by everybody/);
    });

    it("says what keeps the user from the socket (SM-E1442)", async () => {
        const absent = await expectError("SM-E1442", () => relayHere(`${target}1`, own, { place }));
        expect(absent.detail.found).to.match(/5432.*1: No such file or directory$/);
        if (asRoot) return;
        const other = await expectError("SM-E1442", () => relayHere(target, 0, { place }));
        expect(other.detail.found).to.equal("as user 0: only root may do that as another user");
    });

    describe("as root", () => {
        before(function () {
            if (!asRoot) this.skip();
        });

        /** What another user's attempt to connect ends with. */
        const attempt = async (socket: string): Promise<string> => {
            const nobody = await namedUser("nobody");
            if (nobody === undefined) throw new Error("there is no user nobody");
            const code = `import socket,sys; s=socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); s.sendall(b'secret?'); s.shutdown(1); print(s.recv(100))`;
            const child = spawn("python3", ["-c", code, socket], {
                ...nobody,
                cwd: "/",
                stdio: ["ignore", "pipe", "pipe"],
            });
            const [out, said] = await Promise.all([allOf(child.stdout), allOf(child.stderr)]);
            return (out.toString() + said.toString()).trim().split("\n").at(-1) ?? "";
        };

        it("connects as the user, and lets in nobody but its own, be its directory open to all", async () => {
            const { socket, user } = await relayHere(target, "nobody", { place });
            expect(user).to.equal("nobody");
            const connection = createConnection({ path: socket, allowHalfOpen: true });
            connection.end("ours");
            expect((await allOf(connection)).toString()).to.equal("ours");
            expect(await attempt(socket)).to.match(/Permission denied/);
            await chmod(dirname(socket), 0o755);
            expect(await attempt(socket)).to.match(/Permission denied/);
            await chmod(socket, 0o666);
            // The relay asks the system who that is.
            expect(await attempt(socket)).to.match(/^b''$|Broken pipe|reset by peer/);
            expect(await attempt(target)).to.equal("b'secret?'");
        });

        it("connects by way of a process that the user may not look at, as a user whom only a container knows", async () => {
            const unknown = 2_000_000_000;
            const { socket, user } = await relayHere(`/proc/${process.pid}/root${target}`, unknown, { place });
            expect(user).to.equal(String(unknown));
            const connection = createConnection({ path: socket, allowHalfOpen: true });
            connection.end("ours");
            expect((await allOf(connection)).toString()).to.equal("ours");
        });
    });
});
