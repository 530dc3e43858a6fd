/** All kinds of targets: what each is configured with, and where its parts go. */
import { z } from "zod";
import { emsBundleTarget, emsBundleTargetSchema, type EmsBundleLayout } from "./emsBundle/layout.ts";
import { localTarget, localTargetSchema, type TargetLayout } from "./local/layout.ts";

/** `synapse-migration:target`. */
export const targetSchema = z.discriminatedUnion("kind", [localTargetSchema, emsBundleTargetSchema]);
export type TargetConfig = z.infer<typeof targetSchema>;

/** Of a homeserver that is started here, or of files that are handed over. */
export type AnyTargetLayout = TargetLayout | EmsBundleLayout;

export function targetLayout(config: TargetConfig): AnyTargetLayout {
    return config.kind === "emsBundle" ? emsBundleTarget(config) : localTarget(config);
}
