/** Writes a file that comes in many small pieces in few large ones: each write is a way to a thread and back, which takes as long as the write. */
import type { FileHandle } from "node:fs/promises";

const enoughBytes = 512 * 1024;

export class GatheredWrite {
    readonly #file: FileHandle;
    #chunks: Buffer[] = [];
    #bytes = 0;

    constructor(file: FileHandle) {
        this.#file = file;
    }

    /** @param chunk  is kept: nobody may write into it any more */
    public add(chunk: Buffer): Promise<void> | void {
        this.#chunks.push(chunk);
        this.#bytes += chunk.length;
        return this.#bytes < enoughBytes ? undefined : this.flush();
    }

    /** To be called once more after the last piece. */
    public async flush(): Promise<void> {
        const [chunks, bytes] = [this.#chunks, this.#bytes];
        [this.#chunks, this.#bytes] = [[], 0];
        if (bytes === 0) return;
        const { bytesWritten } = await this.#file.writev(chunks);
        if (bytesWritten < bytes) await writeWhole(this.#file, Buffer.concat(chunks).subarray(bytesWritten));
    }
}

/** Writes all of a piece, however many calls that takes. */
export async function writeWhole(file: FileHandle, chunk: Buffer): Promise<void> {
    for (let offset = 0; offset < chunk.length;) {
        offset += (await file.write(chunk, offset, chunk.length - offset, null)).bytesWritten;
    }
}
