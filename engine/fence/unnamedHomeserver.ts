/** A homeserver that runs while its pid file names nothing: started in the foreground, as systemd and containers do. */
import type { SelfHostedSource } from "../../contract/index.ts";
import { describeKept } from "../services/keeper.ts";
import { serviceControl } from "../services/service.ts";
import { homeserversOf } from "../services/synapseProcess.ts";
import { MatrixApi } from "../synapse/api/matrixApi.ts";
import { readHomeserverConfig } from "../synapse/config/homeserverConfig.ts";
import type { Obstacle } from "./obstacles.ts";

/** SM-E0558: it would not be stopped, as nothing says which process it is. */
export async function unnamedHomeserver({ service, homeserverConfig }: SelfHostedSource): Promise<Obstacle[]> {
    if ((await serviceControl(service).status()).running) return [];
    const { files, clientBaseUrl } = await readHomeserverConfig(homeserverConfig);
    const running = await Promise.all((await homeserversOf(files)).map(describeKept));
    const serves = clientBaseUrl !== undefined && (await answers(clientBaseUrl));
    const found = [...running, ...(serves ? [`${clientBaseUrl} answers as a homeserver`] : [])];
    return found.length === 0
        ? []
        : [{ code: "SM-E0558", found: [`${service.pidFile} names no running process`, ...found].join("\n") }];
}

/** One in a container is not seen by its configuration's path, which is another one there. */
async function answers(baseUrl: string): Promise<boolean> {
    const answer = await new MatrixApi(baseUrl).ask("/_matrix/client/versions").catch(() => undefined);
    return answer?.status === 200;
}
