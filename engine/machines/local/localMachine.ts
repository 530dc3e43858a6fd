/** The machine that this program runs on. */
import type { Machine } from "../machine.ts";
import { isAlive, signalProcess } from "../procfs.ts";
import { runProgram } from "../program.ts";
import { relayHere } from "../relay/localRelay.ts";
import { localFiles } from "./localFiles.ts";

export const thisMachine: Machine = {
    name: "this machine",
    isHere: true,
    files: localFiles,
    userId: () => Promise.resolve(process.geteuid?.() ?? 0),
    run: runProgram,
    signal: async (process, name) => {
        if (!(await isAlive({ files: localFiles }, process))) return false;
        signalProcess(process, name);
        return true;
    },
    reach: (address) => Promise.resolve(address),
    reachAs: (socket, user) => relayHere(socket, user),
    here: (path) => Promise.resolve(path),
};
