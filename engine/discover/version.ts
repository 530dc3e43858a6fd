/** Which Synapse a deployment has: what it says itself, and what is installed beside its code. Nothing of it is run. */
import { dirname, join } from "node:path";
import { z } from "zod";
import type { Machine } from "../machines/machine.ts";
import { orElse, procText } from "../machines/procText.ts";
import { MatrixApi } from "../synapse/api/matrixApi.ts";
import { ownBaseUrl } from "../synapse/api/ownApi.ts";
import type { HomeserverConfig } from "../synapse/config/homeserverConfig.ts";
import type { Sighting } from "./sighting.ts";

const answer = z.object({ server: z.object({ version: z.string() }) });

/** As the server's own federation API has it; undefined where it does not answer. */
export async function runningVersion(
    config: Pick<HomeserverConfig, "machine" | "clientBaseUrl">,
): Promise<string | undefined> {
    const url = await ownBaseUrl(config);
    if (url === undefined) return undefined;
    const { json } = await new MatrixApi(url).ask("/_matrix/federation/v1/version");
    // A version made from a branch has more words: `1.99.0 (b=develop,abcdef)`.
    return answer.safeParse(json).data?.server.version;
}

/** What its compiled part is called, in the directory of Synapse's package: mapped by whatever process has loaded it. */
const compiledPart = /\s(\/\S.*)\/synapse\/synapse_rust[^/]*\.so$/m;
const mapsBytes = 256 * 1024;

/**
 * From the name of the directory that every installer leaves beside the code (PEP 376): `matrix_synapse-1.120.0.dist-info`.
 *
 * @param inside  the machine as the process sees it
 */
export async function installedVersion(
    machine: Machine,
    inside: Machine,
    found: Sighting,
): Promise<string | undefined> {
    const directories = [...(await mappedFrom(machine, found)), ...(await packagesOf(inside, found))];
    for (const directory of directories) {
        const version = versionAmong(await orElse(inside.files.list(directory), []));
        if (version !== undefined) return version;
    }
    return undefined;
}

/** @param names  in a directory of Python's packages */
export function versionAmong(names: readonly string[]): string | undefined {
    return names
        .map((name) => /^matrix_synapse-(.+)\.(?:dist|egg)-info$/i.exec(name)?.[1])
        .find((one) => one !== undefined);
}

async function mappedFrom(machine: Machine, { pid }: Sighting): Promise<string[]> {
    if (pid === undefined) return [];
    const maps = await orElse(procText(machine, `/proc/${pid}/maps`, mapsBytes), "");
    const [, directory] = compiledPart.exec(maps.replaceAll(" (deleted)\n", "\n")) ?? [];
    return directory === undefined ? [] : [directory];
}

/** Of a virtual environment, or of a system's own Python. */
async function packagesOf({ files }: Machine, { argv }: Sighting): Promise<string[]> {
    const program = argv[0] ?? "";
    if (!program.startsWith("/")) return [];
    const prefix = dirname(dirname(program));
    const versions = (await orElse(files.list(join(prefix, "lib")), [])).filter((name) => /^python3/.test(name));
    return versions.flatMap((name) =>
        ["site-packages", "dist-packages"].map((packages) => join(prefix, "lib", name, packages)),
    );
}
