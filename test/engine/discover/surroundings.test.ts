import { expect } from "chai";
import { authenticationServiceOf, withoutUser } from "../../../engine/discover/appServices.ts";
import { Budget } from "../../../engine/discover/budget.ts";
import { discovery, type Discovery } from "../../../engine/discover/discovery.ts";
import { mentionsIn, proxyProgram } from "../../../engine/discover/reverseProxies.ts";
import { strangers } from "../../../engine/discover/neighbours.ts";
import { discoveryText, sizeText } from "../../../engine/discover/text.ts";
import { versionAmong } from "../../../engine/discover/version.ts";
import { MigrationError } from "../../../engine/run/errors.ts";
import { processes } from "./processLists.ts";

describe("reverse proxies", () => {
    it("are known by their programs", () => {
        const title = "nginx: master process /usr/sbin/nginx -g daemon on; master_process on;";
        expect(
            [title, "/usr/bin/caddy", "/usr/sbin/apache2", "haproxy", "traefik"].map((name) => proxyProgram([name])),
        ).to.deep.equal(["nginx", "caddy", "apache", "haproxy", "traefik"]);
        expect(proxyProgram(["/usr/bin/nginx-exporter"])).to.equal(undefined);
    });

    it("mention a homeserver by its name, its port or a path of Matrix's, and nothing in a comment", () => {
        const text = [
            "server_name example.org;",
            "server_name other-example.org example.org.uk;",
            "proxy_pass http://127.0.0.1:8008;",
            "proxy_pass http://127.0.0.1:80080;",
            "  # location /_matrix {",
            "  reverse_proxy /_matrix/* localhost:9000",
        ].join("\n");
        expect(mentionsIn("f", text, ["example.org", ":8008"]).map(({ line }) => line)).to.deep.equal([1, 3, 6]);
    });
});

describe("what belongs to a homeserver", () => {
    it("is an authentication service, by either name that its setting has had", () => {
        expect(
            authenticationServiceOf({
                matrix_authentication_service: { enabled: true, endpoint: "http://u:p@mas:8080/" },
            }),
        ).to.deep.equal({ setting: "matrix_authentication_service", endpoint: "http://mas:8080/" });
        const msc3861 = { enabled: true, issuer: "https://account.example.org/" };
        expect(authenticationServiceOf({ experimental_features: { msc3861 } })?.endpoint).to.equal(msc3861.issuer);
        expect(authenticationServiceOf({ matrix_authentication_service: { enabled: false } })).to.equal(undefined);
        expect(withoutUser("http://a:b@c/d@e")).to.equal("http://c/d@e");
    });

    it("is a version beside the code", () => {
        expect(versionAmong(["yaml", "matrix_synapse-1.120.0.dist-info"])).to.equal("1.120.0");
        expect(versionAmong(["matrix_synapse_ldap3-0.3.0.dist-info"])).to.equal(undefined);
    });

    it("is no other kind of homeserver, which is named", () => {
        const list = processes({ 7: { argv: "/usr/local/bin/conduit", group: "/system.slice/conduit.service" } });
        expect(strangers(list)).to.deep.equal(["process 7: conduit is a homeserver of another kind than Synapse"]);
    });
});

describe("a budget of time", () => {
    it("leaves out what is late, and names it", async () => {
        const budget = new Budget(5);
        const late = budget.part("the slow one", 0.05, () => new Promise<number>(() => undefined), 7);
        expect(await late).to.equal(7);
        expect(budget.notSeen).to.deep.equal(["the slow one: not done within 0.1 s"]);
    });

    it("goes on after an error, but not after the loss of the machine", async () => {
        const budget = new Budget(5);
        expect(await budget.part("x", 1, () => Promise.reject(new Error("why")), 1)).to.equal(1);
        const lost = new MigrationError("SM-E1401", { where: "m", found: "gone" });
        expect(await budget.part("x", 1, () => Promise.reject(lost), 1).catch((error: unknown) => error)).to.equal(
            lost,
        );
    });
});

describe("the text of a discovery", () => {
    const found: Discovery = discovery.parse({
        ...{ version: 1, machine: "root@old.example.org", asRoot: true, seconds: 2.13 },
        homeservers: [
            {
                serverName: "example.org",
                running: false,
                version: { running: "1.119.0", installed: "1.120.0" },
                service: {
                    kind: "container",
                    container: {
                        id: "a".repeat(64),
                        name: "synapse",
                        engine: "docker",
                        running: true,
                        unit: "matrix-synapse.service",
                    },
                },
                user: { uid: 991 },
                configFiles: ["/data/homeserver.yaml"],
                paths: { "/data": "/srv/matrix" },
                listeners: ["*:8008 client"],
                database: {
                    kind: "postgres",
                    host: "db",
                    port: 5432,
                    name: "synapse",
                    user: "synapse",
                    notSeen: "no answer",
                },
                media: {
                    ...{ path: "/data/media_store", sizeBytes: 2 ** 31, files: 3, remoteBytes: 1024, complete: false },
                    buckets: [{ bucket: "media", prefix: "" }],
                    otherProviders: [],
                },
                workers: [{ name: "w1", app: "generic_worker", running: false, unit: "w1.service" }],
                applicationServices: [{ file: "/data/irc.yaml", id: "irc", url: "http://irc:9999" }],
                notUnderstood: [],
            },
        ],
        ...{ reverseProxies: [], authenticationServices: [], notSeen: ["x"], notUnderstood: ["y"] },
        mediaRepositories: [{ program: "matrix-media-repo", pid: 9, container: "b".repeat(64) }],
    });

    it("has a line a fact", () => {
        expect(discoveryText(found).split("\n")).to.deep.equal([
            "root@old.example.org: 1 homeserver, 2.1 s",
            "",
            "example.org (NOT running)",
            "  version       Synapse 1.119.0; 1.120.0 is installed and not running yet",
            "  service       docker container synapse",
            "                kept by systemd: matrix-synapse.service",
            "  runs as       user id 991",
            "  configuration /data/homeserver.yaml",
            "  volumes       /data is /srv/matrix",
            "  listens on    *:8008 client",
            "  database      PostgreSQL, synapse as synapse, db:5432",
            "                not seen: no answer",
            "  media         /data/media_store: at least 2.0 GiB in 3 files, of which 1.0 KiB are other servers' media",
            "                S3 bucket media",
            "  workers       w1, w1.service, NOT running",
            "  app services  irc at http://irc:9999 (/data/irc.yaml)",
            "",
            "beside it",
            "  matrix-media-repo (process 9, container bbbbbbbbbbbb)",
            "",
            "not seen",
            "  x",
            "",
            "not understood",
            "  y",
            "",
        ]);
        expect([0, 1023, 1024 ** 4 * 3].map(sizeText)).to.deep.equal(["0 bytes", "1023 bytes", "3.0 TiB"]);
    });
});
