/** A homeserver that runs while its service is said not to: in the foreground where its pid file names nothing, or under another unit. */
import type { SelfHostedSource } from "../../contract/index.ts";
import { describeKept } from "../services/keeper.ts";
import { sourceMachine } from "../machines/sourceMachine.ts";
import { sourceService } from "../services/service.ts";
import { homeserversOf } from "../services/synapseProcess.ts";
import { readHomeserverConfig } from "../synapse/config/homeserverConfig.ts";
import type { Obstacle } from "./obstacles.ts";
import { sourceApi } from "./sourceApi.ts";

/** SM-E0558: it would not be stopped, as nothing says which process it is. */
export async function unnamedHomeserver(source: SelfHostedSource): Promise<Obstacle[]> {
    const { running: isRunning, evidence } = await sourceService(source).status();
    if (isRunning) return [];
    const machine = sourceMachine(source);
    const { files, clientBaseUrl } = await readHomeserverConfig(source.homeserverConfig);
    const known = [...new Set([...files, ...source.homeserverConfig])];
    const running = await Promise.all((await homeserversOf(machine, known)).map((one) => describeKept(machine, one)));
    const serves = await answers(source, clientBaseUrl);
    const found = [...running, ...(serves ? [`${clientBaseUrl ?? ""} answers as a homeserver`] : [])];
    return found.length === 0 ? [] : [{ code: "SM-E0558", found: [...evidence, ...found].join("\n") }];
}

/** One in a container is not seen by its configuration's path, which is another one there. */
async function answers(source: SelfHostedSource, baseUrl: string | undefined): Promise<boolean> {
    const api = await sourceApi(source, baseUrl);
    const answer = await api?.ask("/_matrix/client/versions").catch(() => undefined);
    return answer?.status === 200;
}
