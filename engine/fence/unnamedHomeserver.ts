/** A homeserver that runs while its service is said not to: in the foreground where its pid file names nothing, or under another unit. */
import type { SelfHostedSource } from "../../contract/index.ts";
import { describeKept } from "../services/keeper.ts";
import { sourceMachine } from "../machines/sourceMachine.ts";
import { sourceView } from "../services/containers/sourceView.ts";
import { sourceService } from "../services/service.ts";
import { homeserversOf } from "../services/synapseProcess.ts";
import { MatrixApi } from "../synapse/api/matrixApi.ts";
import { ownBaseUrl } from "../synapse/api/ownApi.ts";
import { readHomeserverConfig } from "../synapse/config/homeserverConfig.ts";
import type { Obstacle } from "./obstacles.ts";

/** Live processes of the source's homeserver, by the files that they were started with, whoever has started them. */
export async function startedHomeservers(source: SelfHostedSource): Promise<string[]> {
    const machine = sourceMachine(source);
    const view = await sourceView(source, machine);
    const { files } = await readHomeserverConfig(source.homeserverConfig, { machine, view, paths: source.paths });
    const known = [...new Set([...files, ...(view === undefined ? source.homeserverConfig : [])])];
    return Promise.all((await homeserversOf(machine, known)).map((one) => describeKept(machine, one)));
}

/** SM-E0558: it would not be stopped, as nothing says which process it is. */
export async function unnamedHomeserver(source: SelfHostedSource): Promise<Obstacle[]> {
    const { running: isRunning, evidence } = await sourceService(source).status();
    if (isRunning) return [];
    const machine = sourceMachine(source);
    const view = await sourceView(source, machine);
    const config = await readHomeserverConfig(source.homeserverConfig, { machine, view, paths: source.paths });
    const running = await startedHomeservers(source);
    // A container that does not run has no address to be asked at.
    const serves = view === undefined && (await answers(await ownBaseUrl(config)));
    const found = [...running, ...(serves ? [`${config.clientBaseUrl ?? ""} answers as a homeserver`] : [])];
    return found.length === 0 ? [] : [{ code: "SM-E0558", found: [...evidence, ...found].join("\n") }];
}

/** One in a container is not seen by its configuration's path, which is another one there. */
async function answers(baseUrl: string | undefined): Promise<boolean> {
    if (baseUrl === undefined) return false;
    const answer = await new MatrixApi(baseUrl).ask("/_matrix/client/versions").catch(() => undefined);
    return answer?.status === 200;
}
