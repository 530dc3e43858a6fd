/** What the system's ssh needs of its caller's variables: the agent, the home with its configuration, and what that may name. */
import { baseEnvironment } from "../program.ts";

const wanted = ["SSH_AUTH_SOCK", "USER", "LOGNAME", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME"] as const;

export function sshEnvironment(): Record<string, string> {
    const own = wanted.flatMap((name) => {
        const value = process.env[name];
        return value === undefined ? [] : [[name, value] as const];
    });
    // English, because what ssh and sudo say is read.
    return baseEnvironment({ ...Object.fromEntries(own), LANG: "C", LC_ALL: "C" });
}
