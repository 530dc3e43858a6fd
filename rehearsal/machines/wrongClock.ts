/** A machine whose clock is wrong: libfaketime stands between its programs and the clock. */
import { copyFile, mkdir } from "node:fs/promises";
import { dirname } from "node:path";
import { release } from "./baseRecipe.ts";
import type { BootedMachine } from "./machine.ts";
import { packagedFile } from "./packagedFile.ts";

const library = "/usr/local/lib/libfaketime.so.1";
/** Debian's names of them. */
const architecture = process.arch === "arm64" ? "aarch64-linux-gnu" : "x86_64-linux-gnu";

/**
 * From now on, services that are started anew and whatever is run at a login or by sudo see another time. Not the kernel, which
 * dates files, nor sshd itself: its sandbox refuses the library, and it goes by no time.
 *
 * @param hours  that it is ahead; negative where it is behind
 */
export async function setClock(machine: BootedMachine, hours: number): Promise<void> {
    const file = machine.path(library);
    await mkdir(dirname(file), { recursive: true });
    const path = `usr/lib/${architecture}/faketime/libfaketimeMT.so.1`;
    await copyFile(await packagedFile({ release, packageName: "libfaketime", path }), file);
    await machine.write("/etc/faketimerc", `${hours < 0 ? "" : "+"}${hours}h\n`);
    await machine.write("/etc/environment", `LD_PRELOAD=${library}\n`);
    // Of what its caller has in the environment, sudo takes nothing like this.
    await machine.write("/etc/sudoers.d/clock", "Defaults env_file=/etc/environment\n", { mode: 0o440 });
    // Whoever starts it with an environment of their own gets the same.
    const script = `#!/bin/sh\nLD_PRELOAD=${library} exec /bin/date "$@"\n`;
    await machine.write("/usr/local/bin/date", script, { mode: 0o755 });
    // Its start on Debian takes nothing from systemd.
    const [cluster = ""] = (await machine.run(["find", "/etc/postgresql", "-name", "environment"])).split("\n");
    await machine.write(cluster, `LD_PRELOAD = '${library}'\n`);
    await machine.run(["systemctl", "set-environment", `LD_PRELOAD=${library}`]);
}
