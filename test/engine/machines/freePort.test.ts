import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer } from "node:net";
import { expect } from "chai";
import { freePort } from "../../../engine/machines/freePort.ts";

describe("a free port", () => {
    it("is one that can be listened on, and that no outgoing connection gets", async () => {
        const first = Number(readFileSync("/proc/sys/net/ipv4/ip_local_port_range", "utf8").trim().split(/\s+/)[0]);
        const ports = await Promise.all(Array.from({ length: 20 }, () => freePort()));
        for (const port of ports) expect(port).to.be.within(10_000, first - 1);
        const server = createServer().listen(ports[0], "127.0.0.1");
        await once(server, "listening");
        server.close();
    });
});
