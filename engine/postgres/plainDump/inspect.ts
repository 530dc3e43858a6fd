/** Reads a plain dump with all its refusals, and without a database. */
import type { PlainDumpContent } from "./content.ts";
import { readPlainDump, type ReadOptions } from "./read.ts";
import { noSink } from "./sink.ts";

/**
 * @param dump  decompressed, decrypted bytes
 * @throws MigrationError SM-E0901 to SM-E0904, SM-E0907, SM-E0909 with the line; what the dump's stream throws
 */
export async function inspectPlainDump(
    dump: AsyncIterable<Buffer>,
    options: ReadOptions = {},
): Promise<PlainDumpContent> {
    return readPlainDump(dump, noSink, options);
}
