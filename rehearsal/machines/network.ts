/** The network of the machines: a cable of its own from each to this machine, over which they reach each other and nothing else. */
import { writeFileSync } from "node:fs";
import { runProgram } from "../../engine/machines/program.ts";

/** Addresses that nothing else here has: cut into networks of four, one a machine. */
const network = "10.123.0.0/16";
export const places = 2 ** 14;

/** The two ends of a cable. */
export interface Cable {
    readonly outerDevice: string;
    readonly innerDevice: string;
    /** Of this machine, as the other one sees it. */
    readonly outerAddress: string;
    readonly innerAddress: string;
}

/** Names of devices have at most 15 characters. */
export function cableOf(number: number): Cable {
    const address = (host: number): string => `10.123.${number >> 6}.${((number & 63) << 2) + host}`;
    return {
        outerDevice: `sm${number}o`,
        innerDevice: `sm${number}i`,
        outerAddress: address(1),
        innerAddress: address(2),
    };
}

/** What systemd-networkd in the machine makes of it. There is no way out: no test may depend on what is outside, or trouble it. */
export function networkFile({ innerDevice, innerAddress, outerAddress }: Cable): string {
    return [
        "[Match]",
        `Name=${innerDevice}`,
        "[Network]",
        `Address=${innerAddress}/30`,
        "LinkLocalAddressing=no",
        "IPv6AcceptRA=no",
        "[Route]",
        `Destination=${network}`,
        `Gateway=${outerAddress}`,
        "",
    ].join("\n");
}

const ip = (...args: string[]): Promise<unknown> => runProgram("ip", args, { timeoutSeconds: 20 });

/** Lays it anew: its inner end goes with the machine that it is put into, and its outer end with that. */
export async function layCable({ outerDevice, innerDevice, outerAddress }: Cable): Promise<void> {
    await ip("link", "add", outerDevice, "type", "veth", "peer", "name", innerDevice);
    await ip("address", "add", `${outerAddress}/30`, "dev", outerDevice);
    await ip("link", "set", outerDevice, "up");
    // For what comes out of this cable only: the machine that the tests run on is no router otherwise.
    writeFileSync(`/proc/sys/net/ipv4/conf/${outerDevice}/forwarding`, "1");
}

/** The kernel takes its time to remove a device whose other end's machine is gone. */
export async function removeCable({ outerDevice }: Cable): Promise<void> {
    await ip("link", "delete", outerDevice).catch(() => undefined);
}
