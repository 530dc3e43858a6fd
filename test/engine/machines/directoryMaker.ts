/** A process that makes the directory of a target whenever it is told to. */
import { makeTargetDirectory } from "../../../engine/machines/targetDirectory.ts";

process.on("message", ({ directory, umask }: { directory: string; umask: number }) => {
    process.umask(umask);
    makeTargetDirectory(directory).then(
        (user) => process.send?.(`made ${user?.uid}`),
        (error: unknown) => process.send?.(String(error)),
    );
});
process.on("disconnect", () => process.exit());
process.send?.("ready");
