/** Which other machines this process has worked on: noted where a machine is asked for something, read by whoever keeps the record of a step. */

let uses = 0;
const lastUse = new Map<string, number>();

/** @param machine  its name, for people: `root@old.example.org` */
export function noteReached(machine: string): void {
    uses += 1;
    lastUse.set(machine, uses);
}

/** @returns tells which were asked for something from now on, sorted by name; none where all was done on this machine */
export function watchReached(): () => string[] {
    const from = uses;
    return () => [...lastUse].flatMap(([machine, use]) => (use > from ? [machine] : [])).sort();
}
