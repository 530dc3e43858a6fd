/** Makes the files that the tests open: with the programs that people make them with. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export const passphrase = "correct horse battery staple";

/** A directory that is gone after the test, with gpg's homes ended. */
export async function withDirectory<T>(work: (directory: string) => Promise<T>): Promise<T> {
    const directory = mkdtempSync(join(tmpdir(), "bundle-"));
    try {
        return await work(directory);
    } finally {
        rmSync(directory, { recursive: true, force: true });
    }
}

export interface RunOptions {
    readonly input?: Buffer | string;
    readonly cwd?: string;
    readonly home?: string;
}

export function run(program: string, args: readonly string[], options: RunOptions = {}): Buffer {
    const { input, cwd, home } = options;
    return execFileSync(program, args, {
        ...(input === undefined ? {} : { input }),
        ...(cwd === undefined ? {} : { cwd }),
        env: { PATH: process.env.PATH ?? "", LANG: "C.UTF-8", ...(home === undefined ? {} : { GNUPGHOME: home }) },
        stdio: ["pipe", "pipe", "ignore"],
        maxBuffer: 64 * 1024 * 1024,
    });
}

/** What `gpg --symmetric` makes of the data, with few iterations so that many tries are quick. */
export function gpgSymmetric(data: Buffer | string, home: string, ...more: readonly string[]): Buffer {
    const loopback = [
        "--batch",
        "--no-autostart",
        "--no-symkey-cache",
        "--pinentry-mode",
        "loopback",
        "--passphrase",
        passphrase,
    ];
    return run("gpg", [...loopback, "--s2k-count", "65536", ...more, "--symmetric"], { input: data, home });
}

/** Has gpg work with keys: its agent is ended by its home directory. */
export async function withKeys<T>(directory: string, work: (home: string) => Promise<T>): Promise<T> {
    const home = mkdtempSync(join(tmpdir(), "gpg-"));
    try {
        return await work(home);
    } finally {
        run("gpgconf", ["--kill", "gpg-agent"], { home });
        rmSync(home, { recursive: true, force: true });
    }
}

/** @param more  options such as `--faked-system-time` */
export function makeKey(
    home: string,
    name: string,
    usage: string,
    expires: string,
    ...more: readonly string[]
): Buffer {
    const loopback = ["--batch", "--pinentry-mode", "loopback", "--passphrase", ""];
    const algorithm = usage === "sign" ? "ed25519" : "default";
    run("gpg", [...loopback, ...more, "--quick-gen-key", `${name} <${name}@example.org>`, algorithm, usage, expires], {
        home,
    });
    return run("gpg", ["--batch", "--armor", "--export", `${name}@example.org`], { home });
}

/** SQL as pg_dump writes it, that gzip makes something of. */
export function sampleDump(rows = 3000): string {
    const lines = Array.from(
        { length: rows },
        (_, n) => `${n}\t@user${(n * 7919) % 1000}:example.org\t${(n * 104729).toString(36)}`,
    );
    return [
        "--\n-- PostgreSQL database dump\n--\n\nSET client_encoding = 'UTF8';\n",
        "COPY public.users (id, name, token) FROM stdin;",
        ...lines,
        "\\.\n\n--\n-- PostgreSQL database dump complete\n--\n",
    ].join("\n");
}

export async function collect(stream: AsyncIterable<Buffer>): Promise<Buffer> {
    const chunks: Buffer[] = [];
    for await (const chunk of stream) chunks.push(chunk);
    return Buffer.concat(chunks);
}
