import { once } from "node:events";
import { readFile, writeFile } from "node:fs/promises";
import { createServer, type AddressInfo, type Server } from "node:net";
import { join } from "node:path";
import { expect } from "chai";
import { z } from "zod";
import { without } from "../../../../engine/synapse/config/configTree.ts";
import { parseSynapseYaml, stringifySynapseYaml } from "../../../../engine/synapse/config/pythonYaml.ts";
import { isolationSections } from "../../../../engine/synapse/config/targetConfig.ts";
import { until } from "../../../../engine/run/until.ts";
import { MatrixClient } from "../../../../rehearsal/source/matrixClient.ts";
import { register } from "../../../../rehearsal/source/population/accounts.ts";
import { Chance } from "../../../../rehearsal/source/population/random.ts";
import { startTestSynapse, type TestSynapse } from "../../../support/synapse.ts";

/** Where a homeserver reaches out to by itself, or because somebody asked it something. Previews need a library that the set-up has not. */
const ways = ["federation", "push", "mail", "application service"] as const;
type Way = (typeof ways)[number];

/** Synapse tries for minutes what nobody answers; whether it tries shows at once. */
const answerSeconds = 15;
const unlessRefused = (asked: Promise<unknown>): Promise<unknown> => asked.catch(() => undefined);

/** Counts connections, whoever makes them and whatever they are for. */
class Recorder {
    public connections = 0;
    readonly #server: Server = createServer((socket) => {
        this.connections += 1;
        socket.on("error", () => undefined).destroy();
    });

    public async listen(): Promise<this> {
        this.#server.listen(0, "127.0.0.1");
        await once(this.#server, "listening");
        return this;
    }

    public get port(): number {
        return (this.#server.address() as AddressInfo).port;
    }

    public async close(): Promise<void> {
        this.#server.close();
        await once(this.#server, "close");
    }
}

describe("a rehearsal's target on the network (P11)", function () {
    this.timeout(180_000);
    let synapse: TestSynapse;
    let recorders: Readonly<Record<Way, Recorder>>;
    let loud: Record<string, unknown>;

    const count = (): Record<Way, number> =>
        Object.fromEntries(ways.map((way) => [way, recorders[way].connections])) as Record<Way, number>;
    const ask = async (token: string, method: string, path: string, body?: object): Promise<unknown> => {
        const answer = await fetch(`${synapse.homeserver.baseUrl}/_matrix/${path}`, {
            method,
            signal: AbortSignal.timeout(answerSeconds * 1000),
            headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json" },
            ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        });
        return answer.json();
    };
    const password = "a password for both";
    const logIn = async (user: string): Promise<string> => {
        const answer = await ask("", "POST", "client/v3/login", {
            ...{ type: "m.login.password", identifier: { type: "m.id.user", user }, password },
        });
        return z.object({ access_token: z.string() }).parse(answer).access_token;
    };
    const restartedWith = async (sections: Readonly<Record<string, unknown>>): Promise<void> => {
        await synapse.homeserver.stop();
        await writeFile(synapse.homeserver.files.configFile, stringifySynapseYaml(sections));
        await synapse.homeserver.startAgain();
    };

    /** What makes a homeserver that is allowed to reach out in each of the ways. */
    async function reachOut(round: string): Promise<void> {
        const [one, other] = [await logIn("one"), await logIn("other")];
        const port = (way: Way): number => recorders[way].port;
        await ask(other, "POST", "client/v3/pushers/set", {
            ...{
                kind: "http",
                app_id: "test",
                pushkey: round,
                app_display_name: "t",
                device_display_name: "t",
                lang: "en",
            },
            data: { url: `http://127.0.0.1:${port("push")}/_matrix/push/v1/notify` },
        });
        const invite = {
            invite: [`@other:${synapse.homeserver.serverName}`],
            is_direct: true,
            preset: "trusted_private_chat",
        };
        const made = await ask(one, "POST", "client/v3/createRoom", invite);
        const room = encodeURIComponent(z.object({ room_id: z.string() }).parse(made).room_id);
        await ask(other, "POST", `client/v3/join/${room}`, {});
        const message = { msgtype: "m.text", body: round };
        await ask(one, "PUT", `client/v3/rooms/${room}/send/m.room.message/${round}`, message);
        const stranger = encodeURIComponent(`@x:127.0.0.1:${port("federation")}`);
        await unlessRefused(ask(one, "GET", `client/v3/profile/${stranger}`));
        const mail = { client_secret: `secret${round}`, email: "somebody@example.org", send_attempt: 1 };
        await unlessRefused(ask(one, "POST", "client/v3/account/3pid/email/requestToken", mail));
    }

    before(async () => {
        const listening = await Promise.all(ways.map(async (way) => [way, await new Recorder().listen()] as const));
        recorders = Object.fromEntries(listening) as Record<Way, Recorder>;
        synapse = await startTestSynapse();
        const { homeserver } = synapse;
        const site = {
            ...{
                serverName: homeserver.serverName,
                client: new MatrixClient(homeserver.baseUrl),
                chance: new Chance("p11"),
            },
            registrationSharedSecret: homeserver.files.registrationSharedSecret,
        };
        for (const user of ["one", "other"]) await register(site, user, password);
        const registration = join(synapse.directory, "synapse", "service.yaml");
        await writeFile(
            registration,
            stringifySynapseYaml({
                ...{ id: "bridge", as_token: "as-token", hs_token: "hs-token", sender_localpart: "bridge" },
                url: `http://127.0.0.1:${recorders["application service"].port}`,
                namespaces: { users: [{ exclusive: false, regex: "@.*" }], rooms: [], aliases: [] },
            }),
            { mode: 0o644 },
        );
        const own = parseSynapseYaml("homeserver.yaml", await readFile(homeserver.files.configFile, "utf8"));
        const sections = without(own?.sections ?? {}, (key) => key === "federation_domain_whitelist");
        loud = {
            ...sections,
            ...{
                ip_range_blacklist: [],
                federation_ip_range_blacklist: [],
            },
            ...{ app_service_config_files: [registration] },
            email: {
                ...{ smtp_host: "127.0.0.1", smtp_port: recorders.mail.port, enable_tls: false },
                notif_from: "matrix@example.org",
            },
        };
    });
    after(async () => {
        await synapse.stop();
        for (const recorder of Object.values(recorders)) await recorder.close();
    });

    it("reaches out in each of these ways where nothing keeps it from it", async () => {
        await restartedWith(loud);
        await reachOut("loud");
        const silent = (): string[] => ways.filter((way) => recorders[way].connections === 0);
        await until(() => silent().length === 0 || undefined, { seconds: 30 });
        expect(silent()).to.deep.equal([]);
    });

    it("makes no connection to anybody once it is isolated, though its database has pushers and users ask for it", async () => {
        await restartedWith({ ...loud, ...isolationSections(loud) });
        const before = count();
        await reachOut("isolated");
        const changed = (): true | undefined => JSON.stringify(count()) !== JSON.stringify(before) || undefined;
        await until(changed, { seconds: 5 });
        expect(count()).to.deep.equal(before);
    });
});
