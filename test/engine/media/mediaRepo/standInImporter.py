#!/usr/bin/env python3
"""Stands in for matrix-media-repo's `gdpr_import` in tests: takes the same arguments and writes the same rows.

How it misbehaves is in its own file name, as the migration gives it no other environment: gdpr_import-lose, -hang, -fail, -alter.
"""
import gzip, io, json, os, re, subprocess, sys, tarfile, time
from urllib.parse import unquote, urlsplit

print("this is a stand-in for matrix-media-repo's importer", file=sys.stderr, flush=True)
mode = os.path.basename(sys.argv[0]).partition("-")[2]
arguments = dict(zip(sys.argv[1::2], sys.argv[2::2]))
if os.environ.get("MACHINE_ID", "0") == "0":
    sys.exit("Please specify a MACHINE_ID environment variable.")
if mode == "hang":
    time.sleep(600)

address = urlsplit(re.search(r'postgres:\s*"([^"]+)"', open(arguments["-config"]).read()).group(1))
environment = {"PGPASSWORD": unquote(address.password), "PATH": os.environ["PATH"], "PGOPTIONS": "-c client_min_messages=warning"}


def sql(statements, *flags):
    command = [os.path.join(os.path.dirname(os.path.abspath(sys.argv[0])), "psql"), "-XqAt", "-v", "ON_ERROR_STOP=1", *flags]
    command += ["-h", address.hostname, "-p", str(address.port), "-U", address.username, "-d", address.path[1:]]
    return subprocess.run(command, input=statements, env=environment, check=True, capture_output=True, text=True).stdout


def quoted(text):
    return "'" + text.replace("'", "''") + "'"


# What matrix-media-repo 1.3.7 has made of its migrations.
sql(
    """CREATE TABLE IF NOT EXISTS media (
        media_id text NOT NULL, origin text NOT NULL, user_id text NOT NULL, upload_name text NOT NULL, content_type text NOT NULL,
        size_bytes bigint NOT NULL, sha256_hash text NOT NULL, creation_ts bigint NOT NULL, quarantined boolean NOT NULL,
        datastore_id text NOT NULL, location text NOT NULL, UNIQUE (origin, media_id))"""
)
names = sorted(os.listdir(arguments["-directory"]))
# The real one opens every file of the directory as gzip, and ends at the first that is none.
parts = [tarfile.open(fileobj=io.BytesIO(gzip.open(os.path.join(arguments["-directory"], name)).read())) for name in names]
members = {member.name: part.extractfile(member).read() for part in parts for member in part.getmembers()}
manifest = json.loads(members["manifest.json"])
there = set(sql("SELECT media_id FROM media").split())
rows = []
for index, record in enumerate(manifest["media"].values()):
    if record["media_id"] in there or (mode == "lose" and index % 2 == 1):
        continue
    assert len(members[record["file_name"]]) == record["size_bytes"]
    kind = "text/html" if mode == "alter" else record["content_type"]
    texts = [record["media_id"], record["origin"], record["uploader"], record["name"], kind, record["sha256"]]
    rows.append(
        "INSERT INTO media (media_id, origin, user_id, upload_name, content_type, sha256_hash, size_bytes, creation_ts, quarantined,"
        " datastore_id, location) VALUES (%s, %d, %d, false, 'file1', 'aa/bb/cc');"
        % (", ".join(map(quoted, texts)), record["size_bytes"], time.time() * 1000)
    )
    if mode == "fail" and len(rows) == 1:
        sql("".join(rows))
        sys.exit("panic: something is wrong")
sql("BEGIN;" + "".join(rows) + "COMMIT;")
print("Import complete.")
