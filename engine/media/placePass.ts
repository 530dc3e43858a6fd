/** The two passes that bring media into an installed homeserver's store. */
import type { z } from "zod";
import type { placeMediaContract } from "../../contract/installed.ts";
import { anothers, claimInstalled, heldInstalled, releaseInstalled, requireHeld } from "../installed/holder.ts";
import { placeOn } from "../machines/placeOn.ts";
import { MigrationError } from "../run/errors.ts";
import type { StepRun } from "../run/step.ts";
import { readSourceConfig } from "../synapse/config/sourceConfig.ts";
import { placeStore, takeBackPlaced, type PlacedStore } from "./placeStore.ts";

type Spec = z.infer<typeof placeMediaContract.spec>;

/** @throws MigrationError those of {@link placeStore}; SM-E0963 where the store here is not the one that was verified */
export async function placePass(spec: Spec, run: StepRun, pass: PlacedStore["pass"]) {
    const store = { ...(await storeThere(spec, run, pass)), directory: await recordsOf(run, pass) };
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
    const directory = await heldInstalled(run.reference, pass === "early" ? "media" : "service");
    if (directory === undefined) {
        run.progress.note(anothers);
        return;
    }
    const removed = await takeBackPlaced({ ...(await storeThere(spec, run, pass)), directory });
    await releaseInstalled(directory);
    run.progress.say(`${removed} files were removed from the installed homeserver's store`);
}

/** The final pass comes after the stop, which is claimed. */
const recordsOf = ({ reference }: StepRun, pass: PlacedStore["pass"]): Promise<string> =>
    pass === "early" ? claimInstalled(reference, "media") : requireHeld(reference);

async function storeThere(
    { deployment }: Spec,
    run: StepRun,
    pass: PlacedStore["pass"],
): Promise<Omit<PlacedStore, "from" | "directory">> {
    const { machine, mediaStorePath } = await readSourceConfig(deployment);
    const root = await machine.files.realpath(mediaStorePath);
    if (root !== undefined) return { machine, root, pass, signal: run.signal };
    throw new MigrationError("SM-E1601", {
        where: placeOn(machine, mediaStorePath),
        found: "no such directory",
        expected: "the media store of a homeserver that was started at least once",
        fix: "start it once; or set `target.mediaStore`",
        changed: "nothing",
    });
}
