/** What a stack is told of a homeserver on another machine, whichever way it runs there. */
import { describeMachine } from "../machines/descriptions.ts";
import type { Canary } from "../source/canary.ts";
import type { InstalledSource, RouteStack } from "./route.ts";

/** Reached over ssh by an operator who may `sudo`. */
export function stackOfMachine(source: InstalledSource, canary: Canary): RouteStack {
    const { machine, service, configPaths, baseUrl, files, signingKey } = source;
    return {
        config: {
            source: {
                kind: "selfHosted",
                homeserverConfig: configPaths,
                machine: describeMachine(machine, "sudo"),
                service,
            },
            canaryBaseUrl: baseUrl,
        },
        secrets: {
            signingKey,
            macaroonSecretKey: files.macaroonSecretKey,
            pepper: files.pepper,
            canaryPassword: canary.password,
        },
    };
}
