/** A way to a server that can be cut in the middle of whatever passes, as a cable is, and mended. */
import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Socket } from "node:net";

export class CuttableWay {
    private readonly sockets = new Set<Socket>();
    private isCut = false;
    private bytesLeft = Infinity;

    private constructor(
        private readonly server: ReturnType<typeof createServer>,
        /** On loopback. */
        public readonly port: number,
    ) {}

    public static async to(host: string, port: number): Promise<CuttableWay> {
        const server = createServer();
        server.listen(0, "127.0.0.1");
        await once(server, "listening");
        const way = new CuttableWay(server, (server.address() as AddressInfo).port);
        server.on("connection", (near) => {
            if (way.isCut) {
                near.destroy();
                return;
            }
            const far = connect(port, host);
            for (const [one, other] of [
                [near, far],
                [far, near],
            ] as const) {
                way.sockets.add(one);
                one.on("error", () => undefined);
                one.on("close", () => {
                    way.sockets.delete(one);
                    other.destroy();
                });
                one.pipe(other);
            }
            far.on("data", ({ length }: Buffer) => {
                way.bytesLeft -= length;
                if (way.bytesLeft < 0) way.cut();
            });
        });
        return way;
    }

    /** Nothing passes from now on, and nobody gets through. */
    public cut(): void {
        this.isCut = true;
        for (const socket of this.sockets) socket.destroy();
    }

    /** {@link cut}, as soon as so many more bytes have come from the server. */
    public cutAfter(bytes: number): void {
        this.bytesLeft = bytes;
    }

    public mend(): void {
        this.isCut = false;
        this.bytesLeft = Infinity;
    }

    public get wasCut(): boolean {
        return this.isCut;
    }

    public async stop(): Promise<void> {
        this.cut();
        this.server.close();
        await once(this.server, "close");
    }
}
