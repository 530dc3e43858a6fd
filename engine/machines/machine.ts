/** What engine and steps ask of the machine that a deployment is on: this one, or one that is reached over ssh. None of them asks which. */
import type { ProgramOptions, ProgramResult } from "./program.ts";

/** A process, told apart from a later one with the same number by when it started. */
export interface ProcessIdentity {
    readonly pid: number;
    /** Clock ticks since boot, field 22 of /proc/<pid>/stat (proc(5)). */
    readonly startTicks: string;
}

/**
 * Names are kept whatever bytes they have: a byte that is no UTF-8 stands as the lone surrogate U+DC80 to U+DCFF, as in Python (PEP 383).
 */
export interface Machine {
    /** For messages: `this machine`, `root@old.example.org`. */
    readonly name: string;
    /** Whether it is the one that this program runs on: only its files can be handed to a program of ours by their path. */
    readonly isHere: boolean;
    readonly files: MachineFiles;
    /** Effective user id there of whatever this machine is asked to do. */
    userId(): Promise<number>;
    /** Runs a program there to its end, without a shell in between. @throws MigrationError SM-E1101, those of a lost connection */
    run(program: string, args: readonly string[], options: MachineProgramOptions): Promise<ProgramResult>;
    /**
     * Sends a signal to this very process, and to no later one with its number.
     *
     * @returns false when it has ended
     */
    signal(process: ProcessIdentity, name: "SIGTERM" | "SIGKILL" | "SIGCONT" | "SIGSTOP"): Promise<boolean>;
    /**
     * Where a server that this machine reaches is reached from here, until the machine is closed. Of another machine's: at a socket that nobody
     * but us may use, in a directory of its own and named `.s.PGSQL.<port>`; or at a port of loopback, which others here may try, too.
     */
    reach(address: Reachable, as: "socket" | "port"): Promise<Reachable>;
    /**
     * As {@link reach} of a socket, for a server that asks the system who connects: it sees that user of this machine. Nobody here or there but
     * us is let in.
     *
     * @param user  name or number
     * @throws MigrationError SM-E1442 where it cannot be done as that user
     */
    reachAs(socket: string, user: string | number): Promise<RelayedSocket>;
    /** A private copy of a small file here, at a path that is good until the machine is closed; of a file that is here, its own path. */
    here(path: string): Promise<string>;
}

/** A TCP port of a host as the machine knows it, or the path of a Unix socket. */
export type Reachable =
    | { readonly host: string; readonly port: number; readonly socket?: undefined }
    | { readonly socket: string; readonly host?: undefined };

/** A socket here that is named `.s.PGSQL.<port>`, and the name of the user that is seen at the server's end. */
export interface RelayedSocket {
    readonly socket: string;
    readonly user: string;
}

export type MachineProgramOptions = Pick<
    ProgramOptions,
    "workingDirectory" | "environment" | "input" | "user" | "timeoutSeconds" | "signal"
>;

export interface FileFacts {
    readonly kind: "file" | "directory" | "link" | "other";
    readonly size: number;
    /** Nanoseconds since 1970, as decimal digits. */
    readonly mtime: string;
    /** Permission bits, set-id and sticky bits included. */
    readonly mode: number;
    readonly uid: number;
    readonly gid: number;
    /** Of 512 bytes. */
    readonly blocks: number;
    /** How many names it has. */
    readonly links: number;
    /** Device and inode: the same for every name of one file. */
    readonly identity: string;
}

export interface FileContent {
    readonly size: number;
    /** Lower-case hexadecimal. */
    readonly sha256: string;
}

/** What a walk meets, in the order of {@link MachineFiles.walk}. */
export interface WalkedEntry {
    /** Relative to the root. */
    readonly path: string;
    /** Of what the entry leads to, where it is a link. */
    readonly facts: FileFacts;
    /** Where the entry is a symbolic link: the real path of what it leads to. */
    readonly linksTo?: string;
    /** The code of a system error, `ENOENT` for a link that leads nowhere: `facts` are then those of the entry itself, or zeros. */
    readonly error?: string;
}

/** Paths are absolute. Errors of the system have its code, `ENOENT`, in `code`, as Node's own have. */
export interface MachineFiles {
    /** Undefined for what is not there, a link that leads nowhere included. */
    stat(path: string): Promise<FileFacts | undefined>;
    /** As {@link stat}, of a link itself. */
    lstat(path: string): Promise<FileFacts | undefined>;
    /** Undefined for what is not there. */
    realpath(path: string): Promise<string | undefined>;
    /** Names in a directory, sorted by their bytes. */
    list(directory: string): Promise<string[]>;
    /** What a link says; undefined for what is not there or is no link. */
    readLink(path: string): Promise<string | undefined>;
    /** What the links in a directory say, by name; other entries and those that may not be read are left out. */
    links(directory: string): Promise<ReadonlyMap<string, string>>;
    /**
     * Reads a whole regular file; never waits for the writer of a pipe.
     *
     * @param options.followLinks  false refuses a file whose name is a link, with `ELOOP`
     * @returns at most so many bytes and one more, by which a longer file is told
     */
    read(path: string, options: { readonly atMost: number; readonly followLinks?: boolean }): Promise<ReadFile>;
    /**
     * Hands over what is in a file as it is read; what is handed over is not touched again. The path is resolved once, and what it leads to is opened without following any further link.
     *
     * @returns what was known of the file before and after
     */
    pour(path: string, take: (chunk: Buffer) => Promise<void> | void, signal?: AbortSignal): Promise<PouredFile>;
    /** As {@link pour}, where only the digest is wanted: it is made there. */
    hash(path: string, signal?: AbortSignal): Promise<FileContent>;
    /**
     * Everything below a directory, that itself first, each directory before what is in it, entries of one sorted by the bytes of their names.
     * Links to directories are walked as directories are, loops end with the error `ELOOP`; entries that vanish meanwhile are left out.
     *
     * @param root  absolute; `top` is relative to it, and so are all paths
     */
    walk(root: string, top: string, options?: WalkOptions): AsyncIterable<WalkedEntry>;
    /** Atomic: the old content or the new. Keeps owner and mode of what was there where none are given; 0600 for a new file. */
    write(path: string, content: string | Uint8Array, options?: WriteOptions): Promise<void>;
    /**
     * Copies a file of this machine below a directory of that one; folders on the way are made. Atomic, and no link below the root is followed.
     *
     * @param from  path here
     * @param to  relative to the root
     */
    put(from: string, root: string, to: string, how: PutOptions): Promise<void>;
    /** Removes a file, a link or an empty directory below a directory, and follows no link below that; nothing happens where there is none. */
    discard(root: string, path: string): Promise<void>;
    /** Removes a file or an empty directory; nothing happens where there is none. */
    remove(path: string): Promise<void>;
}

export interface WalkOptions {
    /**
     * Names of the directories below the top that are entered; of others only they themselves are met. Of what Python's and JavaScript's
     * expressions have in common, without flags, and for a whole name.
     */
    readonly enters?: RegExp | undefined;
    readonly signal?: AbortSignal | undefined;
}

export interface ReadFile {
    readonly content: Buffer;
    readonly facts: FileFacts;
}

export interface PouredFile {
    readonly before: FileFacts;
    readonly after: FileFacts;
}

export interface PutOptions {
    readonly mode: number;
    /** Of folders that are made. */
    readonly folderMode: number;
    readonly owner: { readonly uid: number; readonly gid: number };
    /** Nanoseconds since 1970, as decimal digits. */
    readonly mtime: string;
}

export interface WriteOptions {
    readonly mode?: number;
    readonly owner?: { readonly uid: number; readonly gid: number };
}
