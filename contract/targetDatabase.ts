/** The database that the target's Synapse connects to, and how the steps reach it. */
import { z } from "zod";
import { absolutePath, port, systemUser } from "./shared.ts";
import { selfHostedSource } from "./source.ts";

/** Who creates, renames and drops databases on the server of a homeserver that is installed. */
export const databaseAdmin = z.discriminatedUnion("kind", [
    /** Synapse's own role, which may do it all: as in many containers. */
    z.strictObject({ kind: z.literal("owner") }),
    /** A role with a password, at the place where Synapse reaches its server. */
    z.strictObject({ kind: z.literal("password"), role: z.string().min(1), passwordFile: absolutePath }),
    /** A role that the server's machine vouches for (`peer`, PostgreSQL manual 21.9), by the server's socket. */
    z.strictObject({
        kind: z.literal("peer"),
        role: z.string().min(1).default("postgres"),
        /** As whom of its machine; the role's name when absent, and for a container whom the socket belongs to. */
        user: systemUser.optional(),
        socketDirectory: absolutePath.default("/var/run/postgresql"),
        /** Name of the container that the server runs in, whose own directory that is. */
        container: z.string().min(1).optional(),
    }),
]);
export type DatabaseAdmin = z.infer<typeof databaseAdmin>;

/** A database on a server, with all that is needed to work on it. Passwords are in files of mode 0600. */
export const targetDatabase = z.strictObject({
    /** As the machine knows it that Synapse runs on. */
    host: z.string(),
    port,
    /** The name that Synapse will connect to. */
    name: z.string(),
    /** Synapse's role; owns the database. */
    owner: z.string(),
    /** Absent for one that is installed: its own configuration has it, or its server asks for none. */
    ownerPasswordFile: absolutePath.optional(),
    /** Role that may create, rename and drop databases. */
    admin: z.string(),
    /** Likewise. */
    adminPasswordFile: absolutePath.optional(),
    /** Directory of the PostgreSQL client programs, of the server's major or newer. */
    clientDirectory: absolutePath,
    /** Of a homeserver that is installed: its database is reached as that homeserver reaches it, and what it connects with is its own. */
    installed: z.strictObject({ deployment: selfHostedSource, admin: databaseAdmin }).optional(),
});
export type TargetDatabase = z.infer<typeof targetDatabase>;
/** Of a server that was made here, or one that is there: both roles have a password. */
export type PasswordDatabase = TargetDatabase & {
    readonly ownerPasswordFile: string;
    readonly adminPasswordFile: string;
};
