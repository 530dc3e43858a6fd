/** Files in /proc, which say that they have no bytes and may have any number of them. */
import { MigrationError } from "../run/errors.ts";
import type { Machine } from "./machine.ts";

/** All that is asked of a machine to look at its processes. */
export type ProcReader = Pick<Machine, "files">;

const growth = 16;
/** 300 000 connections. */
const mostBytes = 64 * 1024 * 1024;

/**
 * @param usually  no more bytes than this, nearly always: it is read anew where there are more
 * @throws an error of the system
 */
export async function procText({ files }: ProcReader, path: string, usually = 4096): Promise<string> {
    for (let atMost = usually; ; atMost = Math.min(atMost * growth, mostBytes)) {
        const { content } = await files.read(path, { atMost });
        if (content.length <= atMost) return content.toString("utf8");
        if (atMost === mostBytes) throw new Error(`${path} has more than ${mostBytes} bytes`);
    }
}

/** What the system refuses, or has no more, is nothing; a machine that is not reached any more is an error. */
export async function orElse<T, E>(looking: Promise<T>, otherwise: E): Promise<T | E> {
    try {
        return await looking;
    } catch (error) {
        if (error instanceof MigrationError || !(error instanceof Error && "code" in error)) throw error;
        return otherwise;
    }
}
