/** The homeserver that tests start. It is made where the benchmarks can reach it, too. */
export { smallPopulation, startTestSynapse, type TestSynapse } from "../../rehearsal/source/throwAway.ts";
