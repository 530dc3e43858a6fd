import { expect } from "chai";
import { closedListeners } from "../../../engine/installed/closedListeners.ts";

const http = (names: readonly string[], more: object) => ({ type: "http", resources: [{ names }], ...more });
const port = (index: number): number => 18_000 + index;

describe("the listeners of an installed homeserver that nobody is to find", () => {
    const listeners = [
        http(["client", "federation"], {
            port: 8008,
            bind_addresses: ["::", "0.0.0.0"],
            tls: false,
            x_forwarded: true,
        }),
        http(["replication"], { port: 9093, bind_address: "127.0.0.1" }),
        { type: "metrics", port: 9000 },
    ];

    it("listen on loopback at another port; those of its own stay", () => {
        expect(closedListeners(listeners, { port, inOwnNetwork: false })).to.deep.equal([
            { ...listeners[0], port: 18_000, bind_addresses: ["127.0.0.1"] },
            listeners[1],
            listeners[2],
        ]);
    });

    it("listen on all addresses of a container, at a port that nothing leads to, and where its engine asks how it is", () => {
        expect(closedListeners(listeners, { port, inOwnNetwork: true }).slice(0, 2)).to.deep.equal([
            { ...listeners[0], port: 18_000 },
            { ...listeners[0], bind_addresses: ["127.0.0.1"] },
        ]);
    });

    it("have another socket where they have one, and lose the older word for an address", () => {
        const [socket, old] = closedListeners(
            [http(["client"], { path: "/run/synapse.sock" }), http(["media"], { port: 8009, bind_address: "0.0.0.0" })],
            { port, inOwnNetwork: false },
        );
        expect(socket).to.include({ path: "/run/synapse.sock.closed" });
        expect(old).to.deep.equal(http(["media"], { port: 18_001, bind_addresses: ["127.0.0.1"] }));
    });

    it("are none where there are none", () => {
        expect(closedListeners(undefined, { port, inOwnNetwork: false })).to.deep.equal([]);
    });
});
