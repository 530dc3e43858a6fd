/** Takes the rows of a COPY out of the messages that carry them, a chunk of a connection at a time (PostgreSQL manual 55.7). */

const headerBytes = 5;
const copyData = "d".charCodeAt(0);
const copyDone = "c".charCodeAt(0);
/** CopyOutResponse, and what a server may say at any time: ParameterStatus, NoticeResponse, NotificationResponse. */
const passedOver: ReadonlySet<number> = new Set(["H", "S", "N", "A"].map((letter) => letter.charCodeAt(0)));

export interface FramedRows {
    /** What of the rows is in the chunk: a part of the chunk's own memory, which is overwritten. */
    readonly rows: Buffer;
    /** What comes behind the rows, once they have ended: by their end, or by an error. */
    readonly rest?: Buffer;
}

/** A message is never gathered: memory does not depend on how large a row is. */
export class CopyFrames {
    /** Of a message that has begun: how much is still to come. */
    private left = 0;
    private isData = false;
    /** The first bytes of a header that was cut by the end of a chunk. */
    private readonly header = Buffer.alloc(headerBytes);
    private headerFill = 0;

    public take(chunk: Buffer): FramedRows {
        let read = 0;
        let written = 0;
        while (read < chunk.length) {
            if (this.left > 0) {
                const length = Math.min(this.left, chunk.length - read);
                if (this.isData) {
                    if (written < read) chunk.copyWithin(written, read, read + length);
                    written += length;
                }
                read += length;
                this.left -= length;
                continue;
            }
            const begins = this.headerFill === 0 ? read : undefined;
            let kind: number | undefined;
            let size: number;
            if (begins !== undefined && chunk.length - read >= headerBytes) {
                kind = chunk[read];
                size = chunk.readUInt32BE(read + 1);
                read += headerBytes;
            } else {
                const length = Math.min(headerBytes - this.headerFill, chunk.length - read);
                chunk.copy(this.header, this.headerFill, read, read + length);
                this.headerFill += length;
                read += length;
                if (this.headerFill < headerBytes) break;
                this.headerFill = 0;
                kind = this.header[0];
                size = this.header.readUInt32BE(1);
            }
            if (kind === copyDone) return { rows: chunk.subarray(0, written), rest: chunk.subarray(read) };
            if (kind === copyData || (kind !== undefined && passedOver.has(kind))) {
                this.isData = kind === copyData;
                this.left = size - (headerBytes - 1);
            } else {
                const rows = chunk.subarray(0, written);
                if (begins !== undefined) return { rows, rest: chunk.subarray(begins) };
                return { rows, rest: Buffer.concat([this.header, chunk.subarray(read)]) };
            }
        }
        return { rows: chunk.subarray(0, written) };
    }
}
