/** Text from outside as JSON, for a schema to judge. */

/**
 * @param text  bytes are read as UTF-8
 * @returns undefined when it is not JSON, which itself is never undefined. The parser's message is left out: it quotes what may be a secret
 */
export function parseJson(text: string | Uint8Array): unknown {
    try {
        return JSON.parse(typeof text === "string" ? text : new TextDecoder("utf-8", { fatal: true }).decode(text));
    } catch {
        return undefined;
    }
}
