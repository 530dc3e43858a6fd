/** The gateway's process: `main.ts <config file>`. Follows its state file until it is ended with SIGTERM. */
import { once } from "node:events";
import { watch } from "node:fs";
import { dirname } from "node:path";
import { holdDirectory } from "../run/heldDirectory.ts";
import { createGateway } from "./server.ts";
import { gatewayFiles, readGatewayConfig, readGatewayState, writeListeningPort } from "./state.ts";

const [, , configFile = ""] = process.argv;
const config = await readGatewayConfig(configFile);
if (config === undefined) throw new Error(`${configFile} is not the configuration of a gateway`);

// Opened while we may still go through the directories above, which can be closed to the user that we become.
const directory = dirname(configFile);
const held = await holdDirectory(directory);

const { server, setOpen } = createGateway(config);
server.listen(config.listener.port, config.listener.bindAddress);
await once(server, "listening");
const address = server.address();
if (address !== null && typeof address === "object")
    await writeListeningPort(gatewayFiles(held.path).listening, address.port);

let said = "";
const follow = async (): Promise<void> => {
    // Through `held` each time: a directory that nothing refers to any more is closed when memory is collected, its path with it.
    const found = await readGatewayState(gatewayFiles(held.path).state, config.user);
    const now = found?.state ?? "closed";
    setOpen(now === "open");
    const line = `${now} (${found === undefined ? "no valid state file" : `run ${found.run}`})`;
    if (line !== said) console.error(`${new Date().toISOString()} ${line}`);
    said = line;
};
// One after the other, so that an older reading never ends after a newer one.
let following = follow();
const changed = (): void => {
    following = following.then(follow);
};
watch(directory, changed);
process.on("SIGHUP", changed);
for (const signal of ["SIGTERM", "SIGINT"] as const) {
    process.on(signal, () => {
        server.close(() => process.exit(0));
        server.closeAllConnections();
    });
}
if (config.user !== undefined) {
    // What the world can talk to needs none of root's rights once it listens.
    process.setgroups?.([]);
    process.setgid?.(config.user.gid);
    process.setuid?.(config.user.uid);
}
changed();
