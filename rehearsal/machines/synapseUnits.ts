/** The units that run Synapse on a machine: that of its package for Debian, or those of its documentation for workers. */
import { synapseUser } from "./baseRecipe.ts";
import { machineEnvironment } from "./machineSynapse.ts";

/** What both kinds of Synapse's configuration are given as, in this order. */
export const configPaths = ["/etc/matrix-synapse/homeserver.yaml", "/etc/matrix-synapse/conf.d/"] as const;
export const workersDirectory = "/etc/matrix-synapse/workers";
export const environmentFile = "/etc/default/matrix-synapse";

const synapse = `${machineEnvironment}/bin/python -m`;
const configuration = configPaths.map((path) => `--config-path=${path}`).join(" ");
const homeserver = `${synapse} synapse.app.homeserver ${configuration}`;
const worker = `${synapse} synapse.app.generic_worker ${configuration} --config-path=${workersDirectory}/%i.yaml`;

const service = (...lines: string[]): string => `[Service]
Type=notify
NotifyAccess=main
User=${synapseUser.name}
WorkingDirectory=${synapseUser.home}
EnvironmentFile=-${environmentFile}
${lines.join("\n")}
ExecReload=/bin/kill -HUP $MAINPID
Restart=always
RestartSec=3
`;

/** Started before it, the server would be asked in vain. */
const afterPostgres = "[Unit]\nAfter=postgresql.service\n";

/** A process of its own, where packages have their units. What orders it after the server is the administrator's. */
export const packagedUnits: Readonly<Record<string, string>> = {
    "/lib/systemd/system/matrix-synapse.service": `[Unit]
Description=Synapse Matrix homeserver

${service(`ExecStartPre=${homeserver} --generate-keys`, `ExecStart=${homeserver}`, "SyslogIdentifier=matrix-synapse")}
[Install]
WantedBy=multi-user.target
`,
    "/etc/systemd/system/matrix-synapse.service.d/postgresql.conf": afterPostgres,
};

/** With workers: where administrators have their units, which cannot be masked there as those of packages can. */
export const workerUnits: Readonly<Record<string, string>> = {
    "/etc/systemd/system/matrix-synapse.target": `[Unit]
Description=Matrix homeserver and its workers
After=network.target

[Install]
WantedBy=multi-user.target
`,
    "/etc/systemd/system/matrix-synapse.service": `[Unit]
Description=Synapse main process
PartOf=matrix-synapse.target
ReloadPropagatedFrom=matrix-synapse.target
After=postgresql.service redis-server.service

${service(`ExecStartPre=${homeserver} --generate-keys`, `ExecStart=${homeserver}`, "SyslogIdentifier=matrix-synapse")}
[Install]
WantedBy=matrix-synapse.target
`,
    "/etc/systemd/system/matrix-synapse-worker@.service": `[Unit]
Description=Synapse worker %i
AssertPathExists=${workersDirectory}/%i.yaml
PartOf=matrix-synapse.target
ReloadPropagatedFrom=matrix-synapse.target
After=matrix-synapse.service

${service(`ExecStart=${worker}`, "SyslogIdentifier=matrix-synapse-%i")}
[Install]
WantedBy=matrix-synapse.target
`,
};
