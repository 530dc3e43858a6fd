/** From a homeserver that runs on this machine: the migration itself stops it. */
import { readFileSync } from "node:fs";
import type { ClusterRoute, RouteArgs, RouteStack } from "./route.ts";

export const local: ClusterRoute = {
    place: "here",
    database: "postgresql",
    description: "a homeserver that runs on this machine",
    prepare: (args) => Promise.resolve(runningHere(args)),
};

/** A homeserver whose process the migration stops. */
export function runningHere({ source, canary }: RouteArgs): RouteStack {
    const { files } = source;
    return {
        config: {
            source: {
                kind: "selfHosted",
                homeserverConfig: [files.configFile],
                machine: { kind: "local" },
                service: { kind: "process", pidFile: files.pidFile },
            },
            canaryBaseUrl: source.baseUrl,
        },
        secrets: {
            signingKey: readFileSync(files.signingKeyFile, "utf8"),
            macaroonSecretKey: files.macaroonSecretKey,
            pepper: files.pepper,
            canaryPassword: canary.password,
        },
    };
}
