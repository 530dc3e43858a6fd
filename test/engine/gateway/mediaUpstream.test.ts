import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { expect } from "chai";
import { createGateway, isMediaPath } from "../../../engine/gateway/server.ts";
import { withScriptedServer } from "../../support/scriptedServer.ts";

const paths = {
    media: [
        "/_matrix/media/v3/upload",
        "/_matrix/media/r0/download/a/b?allow_remote=false",
        "/_matrix/client/v1/media/download/a/b",
        "/_matrix/client/v1/media/preview_url?url=x",
        "/_matrix/federation/v1/media/download/b",
    ],
    homeserver: [
        "/_matrix/client/v3/sync?filter=/_matrix/media/",
        "/_matrix/client/v1/mediation",
        "/_matrix/federation/v1/version",
        "/_synapse/admin/v1/media/a/b",
        "/x/_matrix/media/v3/upload",
    ],
};

describe("the gateway before a media repository", () => {
    it("knows the paths that are the repository's", () => {
        for (const path of paths.media) expect(isMediaPath(path), path).to.equal(true);
        for (const path of paths.homeserver) expect(isMediaPath(path), path).to.equal(false);
        expect(isMediaPath(undefined)).to.equal(false);
    });

    it("sends those there and the others to the homeserver, and neither while it is closed", async () => {
        const answers = (paths: readonly string[], who: string) =>
            Object.fromEntries(
                paths.map((path) => [`GET ${path.split("?")[0] ?? ""}`, { status: 200, json: { who } }]),
            );
        await withScriptedServer(answers(paths.homeserver, "homeserver"), (upstream) =>
            withScriptedServer(answers(paths.media, "media"), async (mediaUpstream) => {
                const gateway = createGateway({ upstream, mediaUpstream, retryAfterSeconds: 1 });
                gateway.server.listen(0, "127.0.0.1");
                await once(gateway.server, "listening");
                const url = `http://127.0.0.1:${(gateway.server.address() as AddressInfo).port}`;
                try {
                    for (const path of [...paths.media, ...paths.homeserver])
                        expect((await fetch(`${url}${path}`)).status, path).to.equal(503);
                    gateway.setOpen(true);
                    for (const who of ["media", "homeserver"] as const)
                        for (const path of paths[who])
                            expect(await (await fetch(`${url}${path}`)).json(), path).to.deep.equal({ who });
                } finally {
                    gateway.server.closeAllConnections();
                    gateway.server.close();
                }
            }),
        );
    });
});
