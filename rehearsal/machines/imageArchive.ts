/** Images of containers in the format that `docker load` reads, written without any Docker: layers, a configuration each, and a list of them. */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import type { Machine } from "../../toolchain/machine.ts";

/** A layer: a tar archive, of which the digest is its name to Docker. */
export interface Layer {
    readonly file: string;
    readonly digest: string;
}

/** What is in an image, and what is known of how it is run (the OCI image specification, `config`). */
export interface Image {
    /** `name:tag`. */
    readonly tag: string;
    /** Names of the files of its layers, the lowest first. */
    readonly layers: readonly Layer[];
    readonly config: Readonly<Record<string, unknown>>;
}

const tarSeconds = 900;

/** Makes a layer of a directory, or of some of it. */
export async function layerOf(
    machine: Machine,
    directory: string,
    name: string,
    {
        from,
        only,
        without = [],
    }: { readonly from: string; readonly only: readonly string[]; readonly without?: readonly string[] },
): Promise<Layer> {
    await mkdir(join(directory, name), { recursive: true });
    const file = `${name}/layer.tar`;
    const excluded = without.map((pattern) => `--exclude=${pattern}`);
    const how = ["--create", "--numeric-owner", "--sort=name", `--file=${join(directory, file)}`];
    await machine.run("tar", [...how, ...excluded, `--directory=${from}`, "--", ...only], {
        timeoutSeconds: tarSeconds,
    });
    return { file, digest: await sha256Of(join(directory, file)) };
}

/** Writes what makes one archive of the layers in a directory. */
export async function writeArchive(
    machine: Machine,
    directory: string,
    images: readonly Image[],
    archive: string,
): Promise<void> {
    const manifest: object[] = [];
    for (const { tag, layers, config } of images) {
        const content = JSON.stringify({
            architecture: process.arch === "x64" ? "amd64" : process.arch,
            os: "linux",
            config,
            rootfs: { type: "layers", diff_ids: layers.map(({ digest }) => `sha256:${digest}`) },
        });
        const name = `${createHash("sha256").update(content).digest("hex")}.json`;
        await writeFile(join(directory, name), content);
        manifest.push({ Config: name, RepoTags: [tag], Layers: layers.map(({ file }) => file) });
    }
    await writeFile(join(directory, "manifest.json"), JSON.stringify(manifest));
    await machine.run("tar", ["--create", `--file=${archive}`, `--directory=${directory}`, "."], {
        timeoutSeconds: tarSeconds,
    });
}

async function sha256Of(file: string): Promise<string> {
    const hash = createHash("sha256");
    await pipeline(createReadStream(file), hash);
    return hash.digest("hex");
}
