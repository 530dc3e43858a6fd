/** All kinds of targets: what each is configured with, and where its parts go. */
import { z } from "zod";
import { emsBundleTarget, emsBundleTargetSchema, type EmsBundleLayout } from "./emsBundle/layout.ts";
import { installedTarget, installedTargetSchema, type InstalledLayout } from "./installed/layout.ts";
import { localTarget, localTargetSchema, type TargetLayout } from "./local/layout.ts";

/** `synapse-migration:target`. */
export const targetSchema = z.discriminatedUnion("kind", [
    localTargetSchema,
    installedTargetSchema,
    emsBundleTargetSchema,
]);
export type TargetConfig = z.infer<typeof targetSchema>;

/** Of a homeserver that is started: one that is made here, or one that is installed. */
export type HomeserverLayout = TargetLayout | InstalledLayout;
/** Of that, or of files that are handed over. */
export type AnyTargetLayout = HomeserverLayout | EmsBundleLayout;

/** @param serverName  of the homeserver that is moved, which is that of its target */
export function targetLayout(config: TargetConfig, serverName: string): AnyTargetLayout {
    switch (config.kind) {
        case "local":
            return localTarget(config);
        case "installed":
            return installedTarget(config, serverName);
        case "emsBundle":
            return emsBundleTarget(config);
    }
}
