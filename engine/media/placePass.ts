/** The two passes that bring media into an installed homeserver's store. */
import type { z } from "zod";
import type { placeMediaContract } from "../../contract/installed.ts";
import { placeOn } from "../machines/placeOn.ts";
import { MigrationError } from "../run/errors.ts";
import type { StepRun } from "../run/step.ts";
import { readSourceConfig } from "../synapse/config/sourceConfig.ts";
import { placeStore, takeBackPlaced, type PlacedStore } from "./placeStore.ts";

type Spec = z.infer<typeof placeMediaContract.spec>;

/** @throws MigrationError those of {@link placeStore}; SM-E0963 where the store here is not the one that was verified */
export async function placePass(spec: Spec, run: StepRun, pass: PlacedStore["pass"]) {
    const store = await storeThere(spec, run, pass);
    const placed = await run.progress.during("sending media to the installed homeserver", () =>
        placeStore({ ...store, from: spec.mediaStore }),
    );
    await run.evidence({ root: store.root, pass, ...placed });
    const { treeDigest, ...result } = placed;
    if (spec.treeDigest === undefined || spec.treeDigest === treeDigest) return result;
    throw new MigrationError("SM-E0963", {
        where: spec.mediaStore,
        found: `tree digest ${treeDigest}`,
        expected: `the store that was compared with the source, ${spec.treeDigest}`,
        changed: "files were sent; those stay, and are not sent again",
    });
}

export async function undoPlacePass(spec: Spec, run: StepRun, pass: PlacedStore["pass"]): Promise<void> {
    const removed = await takeBackPlaced(await storeThere(spec, run, pass));
    run.progress.say(`${removed} files were removed from the installed homeserver's store`);
}

async function storeThere(
    { deployment }: Spec,
    run: StepRun,
    pass: PlacedStore["pass"],
): Promise<Omit<PlacedStore, "from">> {
    const { machine, mediaStorePath } = await readSourceConfig(deployment);
    const root = await machine.files.realpath(mediaStorePath);
    if (root !== undefined) return { machine, root, runDirectory: run.directory, pass, signal: run.signal };
    throw new MigrationError("SM-E1601", {
        where: placeOn(machine, mediaStorePath),
        found: "no such directory",
        expected: "the media store of a homeserver that was started at least once",
        fix: "start it once; or set `target.mediaStore`",
        changed: "nothing",
    });
}
