/**
 * Settings of Synapse that do not move as they are: those with files beside them, and those that are left out or replaced. Data, read out
 * of synapse/config of 1.163. What is named neither here nor in `secrets/secretSettings.ts` comes along as it is.
 */

/** Settings with the path of a file that comes along, or with a list of them. A number stands for any list index. */
export const pathSettings: readonly string[] = [
    "templates.custom_template_directory",
    "email.template_dir",
    "account_validity.template_dir",
    "user_consent.template_dir",
    "sso.template_dir",
    "saml2_config.config_path",
    "saml2_config.sp_config.key_file",
    "saml2_config.sp_config.cert_file",
    "saml2_config.sp_config.metadata.local",
    "key_server_signing_keys_path",
    "manhole_settings.ssh_priv_key_path",
    "manhole_settings.ssh_pub_key_path",
    "app_service_config_files",
    "federation_custom_ca_list",
    "oembed.additional_providers",
];

/** Settings that spread Synapse over several processes; the target is one process. */
const workerSettings = new Set([
    "instance_map",
    "stream_writers",
    "redis",
    "send_federation",
    "federation_sender_instances",
    "start_pushers",
    "pusher_instances",
    "notify_appservices",
    "notify_appservices_from_worker",
    "update_user_directory",
    "update_user_directory_from_worker",
    "run_background_tasks_on",
    "media_instance_running_background_jobs",
    "outbound_federation_restricted_to",
]);
export const isWorkerSetting = (key: string): boolean => workerSettings.has(key) || key.startsWith("worker_");

/** Settings that are replaced by the target's own, in this file or another one. */
const replaced = new Set([
    "database",
    "databases",
    "database_path",
    "media_store_path",
    "signing_key",
    "signing_key_path",
    "pid_file",
    "print_pidfile",
    "daemonize",
    "log_config",
    "log_file",
    "listeners",
    "no_tls",
]);
export const tlsSettings = new Set([
    "tls_certificate_path",
    "tls_private_key_path",
    "bind_port",
    "unsecure_port",
    "bind_host",
]);
/** What opens ports of its own. */
export const portSettings = new Set(["manhole", "metrics_port", "metrics_bind_host"]);

/** Whether a setting of the source has no place on the target, in whichever file. */
export function isLeftOut(key: string): boolean {
    return replaced.has(key) || isWorkerSetting(key) || tlsSettings.has(key) || portSettings.has(key);
}
