/**
 * Compose, as the plug-in `docker compose` is: of the Debian after the machines' own, which has none. Its program needs nothing that the older one
 * does not have.
 */
import { copyFile, mkdir } from "node:fs/promises";
import { dirname } from "node:path";
import type { BootedMachine } from "./machine.ts";
import { packagedFile } from "./packagedFile.ts";

/** Where Docker looks for what an administrator has installed. */
const place = "/usr/local/lib/docker/cli-plugins/docker-compose";

/** Puts it onto a machine. */
export async function installCompose(machine: BootedMachine): Promise<void> {
    const file = machine.path(place);
    await mkdir(dirname(file), { recursive: true });
    const path = "usr/libexec/docker/cli-plugins/docker-compose";
    await copyFile(await packagedFile({ release: "trixie", packageName: "docker-compose", path }), file);
}
