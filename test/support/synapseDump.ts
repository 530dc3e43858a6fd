/** The archive that test databases are made of. It is made where the benchmarks can reach it, too. */
export { synapseDump, synapseDumpKey } from "../../rehearsal/source/synapseDump.ts";
