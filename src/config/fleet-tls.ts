import { X509Certificate } from "node:crypto";
import { readFile } from "node:fs/promises";
import { createSecureContext } from "node:tls";
import type { MutualTls } from "../util/mutual-tls.ts";
import { ConfigError } from "./config-error.ts";
import type { FleetTlsFlags } from "./daemon-flags.ts";
import type { ListenConfig } from "./front-door-config.ts";

/**
 * Mutual TLS between the hosts of a fleet, as PEM files: AgentLink and blob servers. All hosts have certificates of one CA,
 * good for client and server; a coordinator's names the host that agents dial.
 */
export interface FleetTlsConfig {
  readonly cert: string;
  readonly key: string;
  readonly ca: string;
}

/** @throws ConfigError when only some of the three are given */
export function resolveFleetTls(flags: FleetTlsFlags): FleetTlsConfig | undefined {
  const { fleetTlscert: cert, fleetTlskey: key, fleetTlscacert: ca } = flags;
  if (cert === undefined && key === undefined && ca === undefined) return undefined;
  if (cert === undefined || key === undefined || ca === undefined) {
    throw new ConfigError("fleet TLS needs all of --fleet-tlscert, --fleet-tlskey and --fleet-tlscacert");
  }
  return { cert, key, ca };
}

/** What the log says about a port that other hosts reach without TLS. */
export function plainListenWarnings(
  flag: string,
  { listen }: ListenConfig,
  tls: FleetTlsConfig | undefined,
): readonly string[] {
  const host = listen.slice(0, listen.lastIndexOf(":"));
  if (tls !== undefined || /^(localhost|127(\.\d+){3}|\[::1\])$/.test(host)) return [];
  return [`${flag} ${listen} is not encrypted: give --fleet-tlscert, --fleet-tlskey and --fleet-tlscacert`];
}

/** @throws ConfigError naming the flag and file that cannot be read or used */
export async function readFleetTls(config: FleetTlsConfig): Promise<MutualTls> {
  const cert = await readPem("--fleet-tlscert", config.cert);
  const key = await readPem("--fleet-tlskey", config.key);
  const ca = await readPem("--fleet-tlscacert", config.ca);
  try {
    createSecureContext({ cert, key });
  } catch (error) {
    throw new ConfigError(`--fleet-tlscert ${config.cert} with --fleet-tlskey ${config.key}: ${messageOf(error)}`);
  }
  try {
    new X509Certificate(ca);
  } catch (error) {
    throw new ConfigError(`--fleet-tlscacert ${config.ca}: ${messageOf(error)}`);
  }
  return { cert, key, ca };
}

async function readPem(flag: string, path: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (error) {
    throw new ConfigError(`cannot read ${flag} ${path}: ${messageOf(error)}`);
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
