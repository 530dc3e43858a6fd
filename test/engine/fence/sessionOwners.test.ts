import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer, type AddressInfo } from "node:net";
import { expect } from "chai";
import { sessionOwners } from "../../../engine/fence/sessionOwners.ts";
import { thisMachine } from "../../../engine/machines/local/localMachine.ts";
import { connectionsOf, holderOfConnection, sharedListeners } from "../../../engine/machines/heldSockets.ts";
import { parseUnixPeers } from "../../../engine/machines/unixPeers.ts";
import { withClient } from "../../../engine/postgres/connection.ts";
import { testCluster } from "../../support/cluster.ts";

const session = (pid: number, port: number | null, role = "synapse") => ({
    ...{ pid, port, role, application: "", address: "127.0.0.1/32", state: "idle" },
});
const pids = (sessions: readonly { readonly pid: number }[]): number[] => sessions.map(({ pid }) => pid);

describe("the sessions on a source's database", () => {
    it("are its own by the ports of its connections, and the others are foreign then", () => {
        const sessions = [session(1, 5001), session(2, 5002), session(3, 7000), session(4, -1)];
        const { own, foreign, unknown } = sessionOwners(sessions, { role: "synapse", ports: new Set([5001, 5002]) });
        expect(pids(own)).to.deep.equal([1, 2]);
        expect(foreign.map((each) => each.session.pid)).to.deep.equal([3, 4]);
        expect(unknown).to.deep.equal([]);
    });

    it("are foreign by their role, also where PostgreSQL tells nothing else of them", () => {
        const sessions = [session(1, -1), session(2, null, "metabase")];
        const { own, foreign, unknown } = sessionOwners(sessions, { role: "synapse", ports: new Set() });
        expect(pids(own)).to.deep.equal([]);
        expect(foreign.map((each) => each.session.pid)).to.deep.equal([2]);
        expect(pids(unknown)).to.deep.equal([1]);
    });

    it("are nobody's for certain behind a pooler, a proxy or a local socket: no port of the homeserver is found", () => {
        const pooled = [session(1, 9001, "pooled"), session(2, 9002, "pooled")];
        for (const sessions of [pooled, [session(1, 9001), session(2, -1)]]) {
            const { foreign, unknown } = sessionOwners(sessions, { role: "synapse", ports: new Set([5001]) });
            expect(foreign).to.deep.equal([]);
            expect(unknown).to.have.length(2);
        }
    });

    it("are its own by a local socket whose other end is one of its processes", () => {
        const sessions = [session(1, -1), session(2, -1), session(3, -1, "backup")];
        const { own, foreign } = sessionOwners(sessions, {
            role: "synapse",
            ports: new Set(),
            backends: new Set([1, 3]),
        });
        expect(pids(own)).to.deep.equal([1]);
        expect(foreign.map((each) => each.session.pid)).to.deep.equal([2, 3]);
    });

    it("have at their other end the process that holds the connection", async () => {
        const cluster = await testCluster();
        await withClient(cluster.superuserAddress(), { step: "test" }, async (client) => {
            const { rows } = await client.query<{ port: number }>("SELECT inet_client_port() AS port");
            const port = rows[0]?.port ?? 0;
            const ours = (await connectionsOf(thisMachine, process.pid)).filter(({ localPort }) => localPort === port);
            expect(ours.map(({ remotePort }) => remotePort)).to.deep.equal([cluster.port]);
            expect(await holderOfConnection(thisMachine, port, new Set([cluster.port]))).to.include({
                pid: process.pid,
            });
            expect(await holderOfConnection(thisMachine, port, new Set([1]))).to.equal(undefined);
        });
    });
});

describe("a listening socket", () => {
    it("that another process holds, too, is found with that process", async () => {
        const server = createServer().listen(0, "127.0.0.1");
        await once(server, "listening");
        const { port } = server.address() as AddressInfo;
        const { _handle: handle } = server as unknown as { _handle: { fd: number } };
        const heir = spawn("sleep", ["60"], { stdio: ["ignore", "ignore", "ignore", handle.fd] });
        await once(heir, "spawn");
        try {
            const shared = await sharedListeners(thisMachine, heir.pid ?? 0, []);
            expect(shared.map((each) => [each.port, each.holder.pid])).to.deep.equal([[port, process.pid]]);
            expect(await sharedListeners(thisMachine, heir.pid ?? 0, [process.pid])).to.deep.equal([]);
        } finally {
            heir.kill("SIGKILL");
            await once(heir, "exit");
            server.close();
        }
        expect(await sharedListeners(thisMachine, process.pid, [])).to.deep.equal([]);
    });
});

describe("the ends of local sockets, as ss tells them", () => {
    it("are paired by their numbers, those of PostgreSQL's sockets alone", () => {
        const text = [
            'u_str ESTAB 0 0 /var/run/postgresql/.s.PGSQL.5432 21873 * 21872 users:(("postgres",pid=350,fd=9))',
            'u_str ESTAB 0      0      * 21872      * 21873 users:(("python",pid=333,fd=12),("python",pid=334,fd=12))',
            'u_str ESTAB 0 0 /run/systemd/private 1 * 2 users:(("systemd",pid=1,fd=9))',
            'u_str ESTAB 0 0 * 2 * 1 users:(("systemctl",pid=77,fd=3))',
            "u_str ESTAB 0 0 /tmp/.s.PGSQL.5433 31 * 30",
            "u_dgr UNCONN 0 0 * 5 * 6",
        ].join("\n");
        expect([...parseUnixPeers(text)]).to.deep.equal([[350, [333, 334]]]);
    });
});
