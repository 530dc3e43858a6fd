/**
 * What steps and undos have said that must be known later, in a file beside the journal.
 *
 * With Pulumi's own command plugin the lines of a step are a status that the next line replaces, and an undo has neither a result nor a
 * report. A note that cannot be written is lost and fails nothing: it was said, and the step has more important things to do.
 */
import { closeSync, constants, openSync, writeSync } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import type { LineKind } from "./progress.ts";

/** Lines are appended, and never removed: `<instant> <do or undo> <note or said> [step] text`. */
export const notesPath = (runDirectory: string): string => join(runDirectory, "notes.log");

/** Nobody reads more than this of them; bytes. */
const largestFile = 4 * 1024 * 1024;

/** A note as the file has it. */
export interface Note {
    readonly at: string;
    readonly step: string;
    readonly undo: boolean;
    readonly text: string;
}

/**
 * Keeps notes, and of an undo everything but its heartbeats.
 *
 * @returns what gets each line, redacted and prefixed with its step
 */
export function keepNotes(runDirectory: string, mode: "do" | "undo"): (line: string, kind?: LineKind) => void {
    return (line, kind = "progress") => {
        if (kind === "heartbeat" || (kind === "progress" && mode === "do")) return;
        append(
            notesPath(runDirectory),
            `${new Date().toISOString()} ${mode} ${kind === "note" ? "note" : "said"} ${line}\n`,
        );
    };
}

function append(path: string, line: string): void {
    try {
        const file = openSync(
            path,
            constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | constants.O_NOFOLLOW,
            0o600,
        );
        try {
            writeSync(file, line);
        } finally {
            closeSync(file);
        }
    } catch {
        // See the head of this file.
    }
}

/** The notes of a run, oldest first, without what was only said. No file is no notes; lines of another form are passed over. */
export async function readNotes(runDirectory: string): Promise<Note[]> {
    const text = await readText(notesPath(runDirectory));
    return text.split("\n").flatMap((line) => {
        const [, at, mode, steps, said] = /^(\S+) (do|undo) note ((?:\[[\w-]+\] )+)(.*)$/.exec(line) ?? [];
        const step = steps?.trim().split(" ").at(-1)?.slice(1, -1);
        if (at === undefined || step === undefined || said === undefined || Number.isNaN(Date.parse(at))) return [];
        return [{ at, step, undo: mode === "undo", text: said }];
    });
}

async function readText(path: string): Promise<string> {
    let file;
    try {
        file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
    } catch (error) {
        if (error instanceof Error && "code" in error && error.code === "ENOENT") return "";
        throw error;
    }
    try {
        const { buffer, bytesRead } = await file.read(Buffer.alloc(largestFile), 0, largestFile, 0);
        return buffer.subarray(0, bytesRead).toString("utf8");
    } finally {
        await file.close();
    }
}
