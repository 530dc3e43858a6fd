import { once } from "node:events";
import { createServer, type Server } from "node:http";
import { expect } from "chai";
import { z } from "zod";
import { matrixPath, MatrixClient, MatrixError } from "../../rehearsal/source/matrixClient.ts";

describe("the rehearsal's Matrix client", () => {
    let server: Server;
    let client: MatrixClient;
    let answers: { status: number; body: string }[];
    const seen: string[] = [];

    before(async () => {
        server = createServer((request, response) => {
            seen.push(`${request.method ?? ""} ${request.url ?? ""} ${request.headers.authorization ?? "nobody"}`);
            const { status, body } = answers.shift() ?? { status: 200, body: "{}" };
            response.writeHead(status, { "content-type": "application/json" }).end(body);
        }).listen(0, "127.0.0.1");
        await once(server, "listening");
        const address = server.address();
        const port = typeof address === "object" ? address?.port : undefined;
        client = new MatrixClient(`http://127.0.0.1:${port ?? 0}`);
    });
    after(() => server.close());
    beforeEach(() => {
        answers = [];
        seen.length = 0;
    });

    const thrown = async (work: Promise<unknown>): Promise<unknown> =>
        work.then(() => undefined).catch((error: unknown) => error);

    it("escapes what it puts into a path, and asks as the device it is", async () => {
        await client.as("token").get(matrixPath`/rooms/${"!a/b:c"}/tags/${"ü ?#"}`, z.object({}));
        expect(seen).to.deep.equal(["GET /rooms/!a%2Fb%3Ac/tags/%C3%BC%20%3F%23 Bearer token"]);
    });

    it("waits as long as it is told to and asks again", async () => {
        answers = [{ status: 429, body: '{"errcode":"M_LIMIT_EXCEEDED","retry_after_ms":20}' }];
        await client.get("/slow", z.object({}));
        expect(seen).to.have.length(2);
    });

    it("says what the server said, and not the token", async () => {
        answers = [{ status: 403, body: '{"errcode":"M_FORBIDDEN","error":"no"}' }];
        const error = await thrown(client.as("token").post("/door?secret=1", {}, z.object({})));
        expect(error).to.be.instanceOf(MatrixError).that.includes({ status: 403, errcode: "M_FORBIDDEN" });
        expect(String(error)).to.equal("MatrixError: POST /door?secret=1: 403 M_FORBIDDEN no");
    });

    it("refuses an answer of another shape, and names the member", async () => {
        answers = [{ status: 200, body: '{"a":{"b":1}}' }];
        const error = await thrown(client.get("/shape", z.object({ a: z.object({ b: z.string() }) })));
        expect(String(error)).to.include("the answer has another shape: a.b");
    });

    it("understands an error without a body of its own", async () => {
        answers = [{ status: 502, body: "<html>" }];
        expect(await thrown(client.get("/proxy", z.object({})))).to.includes({ status: 502, errcode: "" });
    });

    it("ends when it is told to", async () => {
        const signal = AbortSignal.abort(new Error("enough"));
        const error = await thrown(new MatrixClient(client.baseUrl, { signal }).get("/x", z.object({})));
        expect(String(error)).to.include("enough");
    });
});
