import { expect } from "chai";
import { posix } from "node:path";
import type { FileFacts, Machine } from "../../../../engine/machines/machine.ts";
import { serverSocket } from "../../../../engine/services/containers/serverContainer.ts";

/** A disk that answers out of memory: links by what they say, other paths by their owner. */
function machineWith(links: Readonly<Record<string, string>>, files: Readonly<Record<string, number>>): Machine {
    const found: Pick<Machine["files"], "readLink" | "list" | "lstat"> = {
        readLink: (path) => Promise.resolve(links[path]),
        list: (directory) =>
            Promise.resolve(
                Object.keys(files)
                    .filter((path) => posix.dirname(path) === directory)
                    .map((path) => posix.basename(path)),
            ),
        lstat: (path) => {
            const uid = files[path];
            return Promise.resolve(uid === undefined ? undefined : ({ uid } as FileFacts));
        },
    };
    return { files: found } as Machine;
}

const root = "/proc/7/root";
const directory = "/var/run/postgresql";

describe("the socket of a PostgreSQL server in a container", () => {
    it("is looked for below the container's root, whatever its links say: the machine has a server, too", async () => {
        const machine = machineWith(
            { [`${root}/var/run`]: "/run", [`${root}/run/postgresql`]: "../srv/./sockets" },
            { [`${root}/srv/sockets/.s.PGSQL.5432`]: 70, "/run/postgresql/.s.PGSQL.5432": 33 },
        );
        expect(await serverSocket(machine, { pid: 7 }, directory)).to.deep.equal({
            socket: `${root}/srv/sockets/.s.PGSQL.5432`,
            uid: 70,
        });
    });

    it("does not leave that root by going up, and ends where links lead in a circle", async () => {
        const up = machineWith({ [`${root}/var/run`]: "../../../../run" }, { "/run/postgresql/.s.PGSQL.5432": 33 });
        expect(await serverSocket(up, { pid: 7 }, directory)).to.equal(undefined);
        const circle = machineWith({ [`${root}/var/run`]: "/var/run" }, {});
        expect(await serverSocket(circle, { pid: 7 }, directory)).to.equal(undefined);
    });

    it("is none where there are several, or none", async () => {
        const place = `${root}/var/run/postgresql`;
        const several = { [`${place}/.s.PGSQL.5432`]: 70, [`${place}/.s.PGSQL.5433`]: 70 };
        expect(await serverSocket(machineWith({}, several), { pid: 7 }, directory)).to.equal(undefined);
        const none = { [`${place}/.s.PGSQL.5432.lock`]: 70 };
        expect(await serverSocket(machineWith({}, none), { pid: 7 }, directory)).to.equal(undefined);
    });
});
