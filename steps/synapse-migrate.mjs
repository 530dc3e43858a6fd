#!/usr/bin/env node
/** The command `synapse-migrate`: TypeScript is run as it is, without a build. */
import { refuseOldNode } from "../toolchain/nodeGuard.mjs";

refuseOldNode();
const { register } = await import("tsx/esm/api");
register();
await import("./cli.ts");
