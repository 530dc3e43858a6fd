/** The newer server that tests start. It is found where the benchmarks can reach it, too. */
export { newerPostgres } from "../../toolchain/newerPostgres.ts";
