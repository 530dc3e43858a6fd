/** Makes a small `homeserver.db` of Synapse's own schema, and tells what is in one. */
import { z } from "zod";
import { runProgram } from "../../engine/machines/program.ts";

const timeoutSeconds = 60;

const makeProgram = `
import glob, importlib.util, os, random, sqlite3, sys
schema = os.path.join(os.path.dirname(importlib.util.find_spec("synapse").origin), "storage", "schema")
connection = sqlite3.connect(sys.stdin.read())
for name in ("common", "state", "main"):
    for file in sorted(glob.glob(os.path.join(schema, name, "full_schemas", "72", "*.sql")) +
                       glob.glob(os.path.join(schema, name, "full_schemas", "72", "*.sqlite"))):
        connection.executescript(open(file).read())
connection.executescript(open(os.path.join(schema, "common", "schema_version.sql")).read())
connection.execute("INSERT INTO schema_version (version, upgraded) VALUES (72, 1)")
source = random.Random(72)
for n in range(500):
    connection.execute("INSERT INTO users (name, password_hash, creation_ts) VALUES (?, ?, ?)",
                       ("@user%d:rehearsal.test" % n, "%032x" % source.getrandbits(128), 1600000000 + n))
    connection.execute("INSERT INTO profiles (user_id, displayname) VALUES (?, ?)", ("user%d" % n, "%064x" % source.getrandbits(256)))
connection.commit()
connection.execute("VACUUM")
`;

const readProgram = `
import hashlib, json, sqlite3, sys
connection = sqlite3.connect("file:" + sys.stdin.read() + "?mode=ro", uri=True)
connection.text_factory = bytes
digest = lambda rows: hashlib.sha256("\\n".join(sorted(map(repr, rows))).encode()).hexdigest()
master = connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_master").fetchall()
virtual = {name for kind, name, _, sql in master if sql and sql.upper().startswith(b"CREATE VIRTUAL")}
names = sorted(name for kind, name, _, _ in master if kind == b"table" and name not in virtual)
rows = {name.decode("utf-8", "replace"): connection.execute(b'SELECT * FROM "%s"'.decode() % name.decode()).fetchall() for name in names}
print(json.dumps({"schema": digest(master), "counts": {n: len(r) for n, r in rows.items()}, "rows": {n: digest(r) for n, r in rows.items()}}))
`;

const contentShape = z.strictObject({
    schema: z.string(),
    counts: z.record(z.string(), z.number()),
    rows: z.record(z.string(), z.string()),
});
export type SqliteContent = z.infer<typeof contentShape>;

export const parseSqliteContent = (text: string): SqliteContent => contentShape.parse(JSON.parse(text));

export async function makeSqliteDatabase(file: string, python: string): Promise<void> {
    await runProgram(python, ["-I", "-c", makeProgram], { workingDirectory: "/", input: file, timeoutSeconds });
}

/** Digests of what the database says, whatever its pages look like. */
export async function contentOfSqlite(file: string, python: string): Promise<SqliteContent> {
    const options = { workingDirectory: "/", input: file, timeoutSeconds };
    const { stdout } = await runProgram(python, ["-I", "-c", readProgram], options);
    return parseSqliteContent(stdout);
}
