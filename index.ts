/** The Pulumi program: reads the stack's configuration, looks at source and target, and declares one migration. */
import "./components/runtimeGuard.ts"; // First: it refuses what the others could not even be loaded by.
import { announce, assessQuickly, commitmentOf, refuseIfBlocked } from "./components/assessment.ts";
import { bringUp } from "./components/bringUp.ts";
import { refuseOldCli } from "./components/cliVersion.ts";
import { runtimeEnvironment, warnOfStandIns } from "./components/environment.ts";
import { withExpectedProof } from "./components/expectedProof.ts";
import { HomeserverMigration } from "./components/homeserverMigration.ts";
import { readableError } from "./components/readableError.ts";
import { readStackConfig } from "./components/config/readStackConfig.ts";
import { targetLayout } from "./components/targets/target.ts";

async function program() {
    await refuseOldCli();
    const { config, secrets } = readStackConfig();
    const environment = runtimeEnvironment();
    await warnOfStandIns(environment);
    const target = targetLayout(config.target, config.serverName);
    const quick = withExpectedProof(config, await assessQuickly(config, secrets, target));
    await announce(quick);
    refuseIfBlocked(config, quick);
    await bringUp(config, target, quick);

    // A committed run is gone on with, whatever is asked for.
    const runId = quick.committed ? quick.runId : (config.run ?? quick.runId);
    const migration = new HomeserverMigration("migration", {
        config,
        secrets,
        target,
        runId,
        commitment: commitmentOf(config, quick),
        environment: { ...environment, "acknowledged warnings": config.acknowledge.join(", ") || "none" },
    });
    const { assessment, gatewayUrl, proofs, report } = migration;
    return {
        serverName: config.serverName,
        phase: config.phase,
        runId,
        sizes: assessment.sizes,
        versions: assessment.versions,
        predictedDowntimeSeconds: assessment.predictedDowntimeSeconds,
        findings: assessment.findings.apply((findings) => findings.map(({ id, evidence }) => `${id} ${evidence}`)),
        notRun: assessment.notRun,
        gatewayUrl,
        proofs,
        report,
    };
}

// A default export: the SDK takes either that or named exports, and awaits what it returns.
export default () =>
    program().catch((error: unknown) => {
        throw readableError(error);
    });
