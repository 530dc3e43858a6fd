/** SM-E056: what a move would first meet with the source stopped, tried while it still serves. */
import { entry, type CatalogueEntry } from "./entry.ts";

export const e056Trial = {
    "SM-E0560": entry(
        "check",
        "the role may not read all that is to be moved",
        "a dump ends at the first table, sequence or large object that it cannot read; the source would have been stopped for nothing",
        "let `source.database.user` be the owner of what is named, or a superuser, or grant it SELECT (and USAGE on the schema); is what belongs to somebody else still needed?",
    ),
    "SM-E0561": entry(
        "check",
        "the target's server does not take the source's definitions as they are",
        "the copy would fail with the source stopped",
        "is what is named still needed at the source? Drop it there; else let the target's server have what it needs (an extension, a collation, a language), or use a server whose admin may make it",
    ),
    "SM-W0562": entry(
        "check",
        "some of the database stays with the source's server",
        "nothing in the database depends on it: extensions for whoever looks after a server, and event triggers of its superusers",
        "nothing has to be done for the migration; is it wanted on the target, too? Make it there after the move",
    ),
    "SM-W0563": entry(
        "check",
        "something beside Synapse's own tables is in the database",
        "it is moved with them and belongs to Synapse's role afterwards; what else connects to it finds neither its role nor its rights on the target",
        "a bridge in the same database? Stop it before the fence, and give it its rights on the target's database, or a database of its own; else move what is not Synapse's away",
    ),
    "SM-W0564": entry(
        "check",
        "roles beside Synapse's have rights in the database, and these do not come along",
        "on the target nobody but Synapse's role gets in: a dashboard or a script that reads the database finds no rights there",
        "nothing has to be done for the migration; is somebody's access still wanted? Make the role and `GRANT` it on the target after the move",
    ),
} as const satisfies Record<string, CatalogueEntry>;
