/** Tells the process of a gateway from all others. */
import { dirname } from "node:path";
import { targetUser } from "../machines/targetUser.ts";
import type { Recognise } from "../services/daemon.ts";
import { gatewayFiles } from "./state.ts";

/**
 * Of the gateway in this directory, started by this version of the program or by another one: it runs as us until it listens, then as the
 * target's user.
 */
export async function gatewayProcess(directory: string): Promise<Recognise> {
    const users = [process.geteuid?.(), (await targetUser(dirname(directory)))?.uid];
    const { config } = gatewayFiles(directory);
    return ({ uid, argv }) =>
        users.includes(uid) &&
        argv.some((word, index) => word.endsWith("/engine/gateway/main.ts") && argv[index + 1] === config);
}
