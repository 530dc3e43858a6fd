/** A file of this machine for another one, in pieces. */
import { open } from "node:fs/promises";
import type { MachineFiles } from "../machine.ts";
import type { Answer, AskOptions } from "./connection.ts";

/** What is on its way of one file at a time. */
const pieceBytes = 1024 * 1024;

/** @param ask  sends a request to the helper there */
export function farPut(
    ask: (op: string, args: Record<string, unknown>, options?: AskOptions) => Promise<Answer>,
): MachineFiles["put"] {
    return async (from, root, path, { mode, folderMode, owner: { uid, gid }, mtime }) => {
        const file = await open(from, "r");
        try {
            const buffer = Buffer.allocUnsafe(pieceBytes);
            let offset = 0;
            for (let last = false; !last;) {
                let length = 0;
                while (length < pieceBytes) {
                    const { bytesRead } = await file.read(buffer, length, pieceBytes - length, offset + length);
                    if (bytesRead === 0) break;
                    length += bytesRead;
                }
                last = length < pieceBytes;
                const args = { root, path, offset, last, mode, folderMode, uid, gid, mtime };
                await ask("put", args, { data: buffer.subarray(0, length) });
                offset += length;
            }
        } finally {
            await file.close();
        }
    };
}
