#!/usr/bin/env node
/** The command `synapse-migrate`: from one piece where that can be made, else its TypeScript is run as it is. There is nothing to build by hand. */
import { pathToFileURL } from "node:url";
import { bundledCli } from "../toolchain/bundledCli.mjs";
import { refuseOldNode } from "../toolchain/nodeGuard.mjs";

refuseOldNode();
const bundle = await bundledCli();
if (bundle === undefined) {
    const { register } = await import("tsx/esm/api");
    register();
    await import("./cli.ts");
} else {
    // What is unforeseen is reported with lines of the sources.
    process.setSourceMapsEnabled(true);
    await import(pathToFileURL(bundle).href);
}
