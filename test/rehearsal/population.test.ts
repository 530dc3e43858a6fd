import { existsSync } from "node:fs";
import { expect } from "chai";
import { checkHomeserver, type CheckResult } from "../../rehearsal/check.ts";
import { processesBelow } from "../../rehearsal/directory.ts";
import { requireWhole } from "../../rehearsal/rehearsal.ts";
import { expectations as schema, type Expectations } from "../../rehearsal/source/expectations.ts";
import { lineProgress } from "../../engine/run/progress.ts";
import { expectError } from "../support/expectError.ts";
import { smallPopulation, startTestSynapse, type TestSynapse } from "../support/synapse.ts";

describe("the rehearsal's source and its check", () => {
    let source: TestSynapse;
    let stop: (() => Promise<void>) | undefined;
    let put: Expectations;
    const said: string[] = [];
    const progress = lineProgress(
        "check",
        (line) => said.push(line),
        (text) => text,
    );

    before(async function () {
        this.timeout(120_000);
        source = await startTestSynapse({ population: smallPopulation });
        stop = source.stop;
        if (source.expectations === undefined) throw new Error("it was to be filled");
        put = source.expectations;
    });

    after(async function () {
        this.timeout(60_000);
        if (stop === undefined) return;
        await stop();
        expect(existsSync(source.directory)).to.equal(false);
        expect(processesBelow(source.directory)).to.deep.equal([]);
    });

    const check = (expectations: Expectations): Promise<CheckResult[]> =>
        checkHomeserver({ baseUrl: source.homeserver.baseUrl, expectations, progress });
    const failures = (results: readonly CheckResult[]): string[] =>
        results.filter(({ passed }) => !passed).map(({ name, detail }) => `${name}: ${detail}`);

    it("puts in rooms of all kinds, with messages of all sorts", () => {
        const events = put.rooms.flatMap((room) => room.events);
        const types = new Set(events.map(({ type }) => type));
        expect([...new Set(put.rooms.map(({ kind }) => kind))]).to.have.members([
            "public",
            "private",
            "encrypted",
            "upgraded",
        ]);
        expect([...types]).to.include.members([
            "m.room.message",
            "m.room.encrypted",
            "m.room.redaction",
            "m.room.tombstone",
            "m.reaction",
        ]);
        expect(events.some(({ redacted }) => redacted)).to.equal(true);
        expect(events.some(({ content }) => "m.new_content" in content)).to.equal(true);
        expect(events.some(({ content }) => content["body"] === "\\.")).to.equal(true);
    });

    it("makes passwords that prove the pepper: both together stay below bcrypt's 72 bytes", () => {
        for (const { password } of put.users)
            expect(Buffer.byteLength(password.normalize("NFKC")) + put.pepperBytes).to.be.below(72);
    });

    it("leaves no background update to be done", async () => {
        await source.homeserver.backgroundUpdatesDone(10);
        expect((await source.cluster.query("SELECT * FROM background_updates")).rows).to.deep.equal([]);
    });

    it("ends with SM-E1190 and the homeserver's log where a background update is never done", async () => {
        await source.cluster.query(
            "INSERT INTO background_updates (update_name, progress_json) VALUES ('of_a_test', '{}')",
        );
        try {
            const { detail } = await expectError("SM-E1190", () => source.homeserver.backgroundUpdatesDone(0.2));
            expect(detail.where).to.equal(source.homeserver.files.logFile);
            expect(detail.found).to.match(/^it still had background updates to do within 0.2 s\n.*synapse/);
        } finally {
            await source.cluster.query("DELETE FROM background_updates WHERE update_name = 'of_a_test'");
        }
    });

    it("describes what it put in as plain JSON", () => {
        expect(schema.parse(JSON.parse(JSON.stringify(put)))).to.deep.equal(put);
    });

    it("finds everything on the very server it was put into, also after a restart and a second time", async function () {
        this.timeout(60_000);
        expect(failures(await check(put))).to.deep.equal([]);
        await source.homeserver.stop();
        expect(await source.homeserver.answers()).to.equal(false);
        await source.homeserver.startAgain();
        expect(failures(await check(put))).to.deep.equal([]);
    });

    it("says what is missing or different, one failure for each thing that was changed, and no secret", async function () {
        this.timeout(60_000);
        const changed = changeOneOfEach(put);
        const failed = failures(await check(changed));
        expect(failed.map((line) => line.split(":")[0])).to.deep.equal([
            "signing keys",
            "devices",
            "access tokens made before",
            "passwords, and the pepper in them",
            "a guest's token made before, and the macaroon secret in it",
            "a deactivated user stays out",
            "profiles",
            "account data and tags",
            "push rules, pushers and filters",
            "an old sync token has no gap, and to-device messages wait",
            "read receipts",
            "the whole history of every room",
            "single events, alone and in their context",
            "the current state of every room",
            "room aliases",
            "search",
            "media and thumbnails",
            "device keys and cross-signing keys",
            "one-time keys and fallback keys",
            "key backups",
        ]);
        const text = [...failed, ...said].join("\n");
        for (const { password, devices } of [...put.users, ...changed.users]) {
            expect(text).not.to.include(password);
            for (const { accessToken } of devices) expect(text).not.to.include(accessToken);
        }
    });

    it("ends a rehearsal with SM-E1192 where anything is missing, and counts what passed where nothing is", async function () {
        this.timeout(60_000);
        const { baseUrl } = source.homeserver;
        expect(await requireWhole({ baseUrl, expectations: put, progress })).to.be.greaterThan(20);
        const lost = structuredClone(put);
        lost.needle.eventId = "$nothing";
        const { detail } = await expectError("SM-E1192", () => requireWhole({ baseUrl, expectations: lost, progress }));
        expect(detail.found).to.match(/^search: [^\n]*$/);
    });

    it("fails every check of a server that is not there", async function () {
        this.timeout(60_000);
        const results = await checkHomeserver({ baseUrl: "http://127.0.0.1:1", expectations: put, progress });
        expect(results.filter(({ passed }) => passed)).to.deep.equal([]);
    });
});

/** Another expectation for each thing that the check looks at, and the same server. */
function changeOneOfEach(put: Expectations): Expectations {
    const changed = structuredClone(put);
    const [user, second, third] = changed.users;
    const [room] = changed.rooms;
    const [file] = changed.media;
    if (user === undefined || second === undefined || third === undefined || room === undefined || file === undefined)
        throw new RangeError("the population is too small");
    const [id] = Object.keys(changed.verifyKeys);
    changed.verifyKeys = { [id ?? ""]: Object.values(changed.oldVerifyKeys)[0] ?? "" };
    const [device] = second.devices;
    if (device !== undefined) device.displayName = "another name";
    third.devices.push({ deviceId: "GONE", displayName: "gone", accessToken: "syt_gone_gone_gone" });
    user.password = "not the password";
    changed.guest.accessToken += "x";
    changed.deactivated = { userId: second.userId, password: second.password };
    user.displayName = "Somebody else";
    user.accountData["test.rehearsal.settings"] = { index: -1 };
    user.filter.content = {};
    user.sync.toDevice.reverse();
    room.receipts[user.userId] = room.events[0]?.eventId ?? "";
    const [event] = room.events;
    if (event !== undefined) event.originServerTs += 1;
    room.state.pop();
    if (room.alias !== undefined) room.alias = room.alias.replace("#", "#not-");
    changed.needle.eventId = "$nothing";
    file.sha256 = "0".repeat(64);
    user.encryption.masterKey = {};
    user.encryption.oneTimeKeyCounts = { signed_curve25519: 1000 };
    const { backup } = user.encryption;
    if (backup !== undefined) backup.count += 1;
    return changed;
}
