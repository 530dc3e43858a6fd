/** What belongs to a homeserver besides itself, as its configuration names it: application services, and who keeps accounts in its place. */
import type { HomeserverConfig } from "../synapse/config/homeserverConfig.ts";
import { isMapping } from "../synapse/config/configTree.ts";
import { parseSynapseYaml } from "../synapse/config/pythonYaml.ts";
import { reasonOf } from "./budget.ts";
import type { Homeserver } from "./discovery.ts";

const mostBytes = 1024 * 1024;

/** Each registration's id and address; its tokens are not kept. */
export async function applicationServicesOf(
    { machine, appServiceConfigFiles }: Pick<HomeserverConfig, "machine" | "appServiceConfigFiles">,
    unclear: string[],
): Promise<Homeserver["applicationServices"]> {
    return Promise.all(
        appServiceConfigFiles.map(async (file) => {
            try {
                const { content } = await machine.files.read(file, { atMost: mostBytes });
                const { id, url } = parseSynapseYaml(file, content.toString("utf8"))?.sections ?? {};
                return {
                    file,
                    ...(typeof id === "string" ? { id } : {}),
                    ...(typeof url === "string" ? { url: withoutUser(url) } : {}),
                };
            } catch (error) {
                unclear.push(`application service ${file}: ${reasonOf(error)}`);
                return { file };
            }
        }),
    );
}

/** An address without what may be a password in it. */
export function withoutUser(url: string): string {
    return url.replace(/\/\/[^/@]*@/, "//");
}

/** `matrix_authentication_service`, or what it was called while it was new. */
export function authenticationServiceOf(
    sections: Readonly<Record<string, unknown>>,
): Homeserver["authenticationService"] {
    const mas = sections["matrix_authentication_service"];
    const experimental = sections["experimental_features"];
    const msc3861 = isMapping(experimental) ? experimental["msc3861"] : undefined;
    const found = (setting: string, of: Readonly<Record<string, unknown>>, name: string) => ({
        setting,
        ...(typeof of[name] === "string" ? { endpoint: withoutUser(of[name]) } : {}),
    });
    if (isMapping(mas) && mas["enabled"] === true) return found("matrix_authentication_service", mas, "endpoint");
    if (isMapping(msc3861) && msc3861["enabled"] === true)
        return found("experimental_features.msc3861", msc3861, "issuer");
    return undefined;
}
