/** A process that never gets from the writing of a private file to its renaming: `killedWriter.ts <path> <content>`. */
import { open } from "node:fs/promises";
import { writePrivateFile } from "../../../engine/run/atomicFile.ts";

const [, , path = "", content = ""] = process.argv;
const handle = await open("/dev/null");
const prototype = Object.getPrototypeOf(handle) as { sync: () => Promise<void> };
prototype.sync = () => {
    process.stdout.write("written\n");
    // Keeps the process alive while nothing else does.
    return new Promise((resolve) => setTimeout(resolve, 600_000));
};
await writePrivateFile(path, content);
