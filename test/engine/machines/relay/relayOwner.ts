/** A process that relays until it is killed: `relayOwner.ts <socket> <user id> <place>`. Writes the path of the relay's socket. */
import { relayHere } from "../../../../engine/machines/relay/localRelay.ts";

const [, , target = "", user = "", place = ""] = process.argv;
const { socket } = await relayHere(target, Number(user), { place });
process.stdout.write(`${socket}\n`);
