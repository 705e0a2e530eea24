import type { Command } from "commander";
import { collect } from "../client-command.ts";
import { UsageError } from "../usage-error.ts";

/** Flags that all daemons have. */
export function addDaemonOptions(command: Command, defaultRoot: string): void {
  command.optionsGroup("State and log:");
  command.option(
    "--config <file>",
    "configuration in the form of buildkitd.toml (default: /etc/buildkit/buildkitd.toml)",
  );
  command.option("--root <dir>", `state directory; one process each (default: ${defaultRoot})`);
  command.option("--log-level <level>", "debug, info, warn or error (default: info)");
  command.option("--log-format <format>", "text or json (default: text)");
  command.option("--debug", "log everything");
}

/** Flags of what serves the build API. */
export function addFrontDoorOptions(command: Command): void {
  command.optionsGroup("Build API:");
  command.option(
    "--addr <address>",
    "listen here: unix:///path, tcp://host:port or fd://; may be repeated (default: unix:///run/buildkit/buildkitd.sock)",
    collect,
  );
  command.option("--group <group>", "group that may use the unix socket");
  command.option("--tlscert <file>", "certificate for tcp:// addresses (PEM)");
  command.option("--tlskey <file>", "key of the certificate (PEM)");
  command.option("--tlscacert <file>", "CA that client certificates must come from; clients then need one (PEM)");
  command.option(
    "--allow-insecure-entitlement <name>",
    "what builds may ask for: network.host, security.insecure, device; may be repeated",
    collect,
  );
  command.option("--metrics-addr <host:port>", "serve figures for Prometheus here, at /metrics (default: nowhere)");
  command.option("--keep-failed <time>", "keep the files of failed steps, for `debug shell`; 0 for not (default: 10m)");
  command.option(
    "--keep-failed-steps <n>",
    "keep those of so many steps at most (default: 20)",
    wholeNumber("--keep-failed-steps"),
  );
}

/** Flags of what runs steps. */
export function addWorkerOptions(command: Command): void {
  command.optionsGroup("Running steps:");
  command.option(
    "--slots <n>",
    "steps run at the same time (default: as cores and memory allow)",
    wholeNumber("--slots"),
  );
  command.option("--label <key=value>", "label that builds can ask for; may be repeated", collect);
  command.option(
    "--platform <os/arch>",
    "platform to accept, native first; may be repeated (default: found out)",
    collect,
  );
  command.option(
    "--cdi-spec-dir <directory>",
    "where specs of devices are; may be repeated (default: /etc/cdi, /var/run/cdi, /etc/buildkit/cdi)",
    collect,
  );
  command.option("--snapshotter <name>", "auto, overlayfs or native (default: auto)");
  command.option("--oci-binary <name>", "runc, crun or a path (default: what works here)");
  command.option("--net <mode>", "network of steps: auto, host or none (default: auto)");
}

/** Flags for reaching NATS. */
export function addNatsOptions(command: Command): void {
  command.optionsGroup("Fleet:");
  command.option(
    "--nats <url>",
    "NATS server; may be repeated (env NATS_URL; default: nats://127.0.0.1:4222)",
    collect,
  );
  command.option("--nats-creds <file>", "NATS credentials file");
  command.option("--nats-token <token>", "NATS token (better: env NATS_TOKEN)");
  command.option("--nats-tlsca <file>", "CA of the NATS server (PEM)");
  command.option("--nats-tlscert <file>", "client certificate for NATS (PEM)");
  command.option("--nats-tlskey <file>", "key of that certificate (PEM)");
}

/** Flags for mutual TLS between the hosts of a fleet; they go with those of `addNatsOptions`. */
export function addFleetTlsOptions(command: Command): void {
  command.option(
    "--fleet-tlscert <file>",
    "this host's certificate towards the fleet's others, client and server (PEM)",
  );
  command.option("--fleet-tlskey <file>", "key of that certificate (PEM)");
  command.option("--fleet-tlscacert <file>", "CA of all the fleet's certificates (PEM); all three or none");
}

function wholeNumber(flag: string): (text: string) => number {
  return (text) => {
    if (!/^\d+$/.test(text)) throw new UsageError(`${flag} must be a whole number, not ${JSON.stringify(text)}`);
    return Number(text);
  };
}
