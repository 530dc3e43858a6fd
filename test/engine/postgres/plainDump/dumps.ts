/** Plain dumps for tests: of a real database, and small ones written as old and new versions of pg_dump write them. */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { runProgram } from "../../../../engine/machines/program.ts";
import type { TestCluster } from "../../../support/cluster.ts";

/** What `pg_dump` of the cluster's version writes. */
export async function pgDump(cluster: TestCluster, name: string, ...args: readonly string[]): Promise<Buffer> {
    const address = cluster.superuserAddress(name);
    const passwords = join(cluster.directory, "pgpass-plain-dump");
    await writeFile(passwords, `*:*:*:*:${address.password ?? ""}\n`, { mode: 0o600 });
    const file = join(cluster.directory, cluster.newName("plain-dump"));
    await runProgram(
        join(cluster.programs, "pg_dump"),
        ["-h", address.host, "-p", String(address.port), "-U", address.user, "-d", name, "-f", file, ...args],
        { environment: { PGPASSFILE: passwords }, timeoutSeconds: 60 },
    );
    return readFile(file);
}

/** Runs psql as users do today. */
export async function psql(cluster: TestCluster, name: string, user: string, file: string): Promise<void> {
    const address = cluster.address(name, user);
    const passwords = join(cluster.directory, "pgpass-plain-dump");
    await writeFile(passwords, `*:*:*:*:${address.password ?? ""}\n`, { mode: 0o600 });
    await runProgram(
        join(cluster.programs, "psql"),
        [
            "-X",
            "-q",
            "-v",
            "ON_ERROR_STOP=1",
            "-h",
            address.host,
            "-p",
            String(address.port),
            "-U",
            user,
            "-d",
            name,
            "-f",
            file,
        ],
        { environment: { PGPASSFILE: passwords }, timeoutSeconds: 60 },
    );
}

/** The dump in pieces of these sizes, one after the other and again from the first. */
export async function* inPieces(dump: Buffer, ...sizes: readonly number[]): AsyncGenerator<Buffer> {
    await Promise.resolve();
    for (let [at, turn] = [0, 0]; at < dump.length; turn += 1) {
        const size = sizes[turn % sizes.length] ?? dump.length;
        yield dump.subarray(at, at + size);
        at += size;
    }
}

export interface SmallDump {
    /** As pg_dump writes since August 2025. */
    readonly restrictKey?: string;
    /** Statements and rows between `SET`s and trailer; a Synapse-like database when absent. */
    readonly body?: string;
    /** Instead of the usual settings. */
    readonly settings?: string;
    readonly versions?: string;
}

export const usualSettings = `SET statement_timeout = 0;
SET lock_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET row_security = off;
`;

export const smallTables = `CREATE TABLE public.events (
    stream_ordering bigint,
    event_id text NOT NULL,
    json text
);


ALTER TABLE public.events OWNER TO rdsadmin;

CREATE TABLE public.users (
    name text
);

`;

export const smallRows = `COPY public.events (stream_ordering, event_id, json) FROM stdin;
1\t$one\t{"body": "caf\u00e9\\\\n\\tx"}
2\t$two\t\\N
\\.


COPY public.users (name) FROM stdin;
@a:example.org
\\.


`;

export const smallKeys = `SELECT pg_catalog.setval('public.events_stream_seq', 2, true);


ALTER TABLE ONLY public.events
    ADD CONSTRAINT events_pkey PRIMARY KEY (event_id);


CREATE INDEX events_order ON public.events USING btree (stream_ordering);


`;

/** Framed as pg_dump does it. */
export function smallDump(dump: SmallDump = {}): Buffer {
    const {
        restrictKey: key,
        settings = usualSettings,
        body = `CREATE SEQUENCE public.events_stream_seq;\n${smallTables}${smallRows}${smallKeys}`,
    } = dump;
    return Buffer.from(
        [
            "--\n-- PostgreSQL database dump\n--\n\n",
            key === undefined ? "" : `\\restrict ${key}\n\n`,
            dump.versions ?? "-- Dumped from database version 15.18\n-- Dumped by pg_dump version 15.18\n\n",
            `${settings}\n${body}`,
            "--\n-- PostgreSQL database dump complete\n--\n\n",
            key === undefined ? "" : `\\unrestrict ${key}\n\n`,
        ].join(""),
    );
}
