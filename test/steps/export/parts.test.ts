import { expect } from "chai";
import { belongsTo } from "../../../engine/bundle/write/bundleNames.ts";
import { compareDumpedSequences, compareDumpedTables } from "../../../engine/bundle/dump/dumpedTables.ts";
import { handedConfig } from "../../../engine/bundle/write/handedConfig.ts";
import { observed } from "../../../engine/bundle/write/observed.ts";
import { isCommitted } from "../../../engine/run/stepState.ts";

const identity = { pepper: "p3pper", macaroonSecretKey: "m4caroon" };

describe("the configuration that is handed over", () => {
    it("keeps what makes the homeserver this one, and nothing else that is secret", () => {
        const { sections, leftOut } = handedConfig(
            {
                server_name: "example.org",
                old_signing_keys: { "ed25519:old": { key: "public", expired_ts: 1 } },
                password_config: { enabled: true, pepper: "p3pper", policy: { minimum_length: 12 } },
                macaroon_secret_key: "m4caroon",
                registration_shared_secret: "s1",
                registration_requires_token: true,
                database: { name: "psycopg2", args: { password: "s2" } },
                email: { smtp_host: "mail", smtp_user: "u", smtp_pass: "s3" },
                oidc_providers: [
                    { idp_id: "a", client_id: "b", client_secret: "s4", client_secret_jwt_key: { key: "s5" } },
                ],
                turn_uris: ["turn:example.org"],
                turn_shared_secret: "s6",
                modules: [{ module: "m", config: { api_tokens: ["s7"], url: "https://user:s8@example.org/" } }],
                app_service_config_files: ["/etc/bridge.yaml"],
                sentry: { dsn: "https://s9@sentry" },
            },
            identity,
        );
        expect(JSON.stringify(sections)).not.to.match(/s\d"|s\d@/);
        expect(sections).to.deep.equal({
            server_name: "example.org",
            old_signing_keys: { "ed25519:old": { key: "public", expired_ts: 1 } },
            password_config: { enabled: true, pepper: "p3pper", policy: { minimum_length: 12 } },
            macaroon_secret_key: "m4caroon",
            registration_requires_token: true,
            email: { smtp_host: "mail", smtp_user: "u" },
            oidc_providers: [{ idp_id: "a", client_id: "b", client_secret_jwt_key: {} }],
            turn_uris: ["turn:example.org"],
            modules: [{ module: "m", config: {} }],
            sentry: {},
        });
        expect(leftOut).to.include.members([
            ...["database", "email.smtp_pass", "oidc_providers.0.client_secret", "registration_shared_secret"],
            ...["modules.0.config.api_tokens", "modules.0.config.url", "app_service_config_files", "sentry.dsn"],
        ]);
        expect(leftOut).not.to.include.members(["macaroon_secret_key", "password_config.pepper"]);
    });

    it("invents neither a pepper nor a macaroon secret", () => {
        const { sections } = handedConfig({ server_name: "a" }, { pepper: undefined, macaroonSecretKey: undefined });
        expect(sections).to.deep.equal({ server_name: "a" });
    });
});

describe("a dump beside its database", () => {
    const table = { schema: "public", name: "events", columns: ["a"], rows: 2, bytes: 8, digest: "aa" };
    const sequence = { schema: "public", name: "s", lastValue: "7", isCalled: true };
    const settings = { start: "1", increment: "1", min: "1", max: "9" };

    it("must have every table, with as many rows, and the same ones", () => {
        const compare = (tables: (typeof table)[], found: (typeof table)[]): string[] =>
            compareDumpedTables({ tables }, found);
        expect(compare([table], [table])).to.deep.equal([]);
        expect(compare([], [table])).to.deep.equal(["public.events is not in the dump"]);
        expect(compare([table], [])).to.deep.equal(["public.events is in the dump, and not in the database"]);
        expect(compare([{ ...table, rows: 1 }], [table])[0]).to.match(/2 rows in the database, 1 in the dump/);
        expect(compare([{ ...table, digest: "bb" }], [table])[0]).to.match(/not the same ones/);
    });

    it("must have every sequence, at its position where the database stands still", () => {
        const moved = { ...sequence, ...settings, lastValue: "8" };
        expect(compareDumpedSequences({ sequences: [sequence] }, [{ ...sequence, ...settings }], true)).to.deep.equal(
            [],
        );
        expect(compareDumpedSequences({ sequences: [sequence] }, [moved], true)[0]).to.match(
            /8 in the database, 7 in the dump/,
        );
        expect(compareDumpedSequences({ sequences: [sequence] }, [moved], false)).to.deep.equal([]);
        expect(compareDumpedSequences({ sequences: [] }, [moved], false)).to.deep.equal([
            "public.s is only in the database",
        ]);
    });
});

describe("a stream that is read along", () => {
    async function* chunks(count: number, fault?: Error): AsyncGenerator<Buffer, void> {
        for (let n = 0; n < count; n++) yield await Promise.resolve(Buffer.alloc(700_000, n));
        if (fault !== undefined) throw fault;
    }
    const bytesOf = async (stream: AsyncIterable<Buffer>): Promise<number> => {
        let bytes = 0;
        for await (const chunk of stream) bytes += chunk.length;
        return bytes;
    };
    const failing = async (work: Promise<unknown>): Promise<string> =>
        work.then(
            () => "nothing went wrong",
            (error: unknown) => (error instanceof Error ? error.message : String(error)),
        );

    it("gives both readers all of it", async () => {
        const { stream, result } = observed(chunks(5), bytesOf);
        expect([await bytesOf(stream), await result]).to.deep.equal([3_500_000, 3_500_000]);
    });

    it("ends for both when it fails", async () => {
        const { stream, result } = observed(chunks(2, new Error("cut off")), bytesOf);
        expect(await failing(bytesOf(stream))).to.equal("cut off");
        expect(await failing(result)).to.equal("cut off");
    });

    it("ends with what the one who reads along refuses", async () => {
        const { stream } = observed(chunks(9), () => Promise.reject(new Error("no dump")));
        expect(await failing(bytesOf(stream))).to.equal("no dump");
    });
});

describe("files of a bundle", () => {
    it("are told from others by their names, parts and what a killed attempt left included", () => {
        const name = "customer_db_export.sql.gz.gpg";
        for (const own of [name, `${name}.part-aa`, `${name}.part-ab.incoming`, `${name}.incoming`])
            expect(belongsTo(name, own), own).to.equal(true);
        for (const other of ["manifest.json", `${name}2`, `x${name}`, "customer_db_export.sql.gz"])
            expect(belongsTo(name, other), other).to.equal(false);
    });
});

describe("a run", () => {
    const record = (step: string, kind: "intent" | "done") => ({
        ...{ step, kind, phase: "cutover" as const, seq: 1, at: "2026-11-21T12:00:00.000Z", previous: "", hash: "" },
    });
    it("is committed by an opened target or a bundle that was handed over, and by nothing else", () => {
        for (const step of ["commit", "hand-over"]) {
            expect(isCommitted([record(step, "intent"), record(step, "done")]), step).to.equal(true);
            expect(isCommitted([record(step, "intent")]), step).to.equal(false);
        }
        expect(isCommitted([record("verify-bundle", "intent"), record("verify-bundle", "done")])).to.equal(false);
    });
});
