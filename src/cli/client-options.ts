import { access } from "node:fs/promises";
import { join } from "node:path";
import type { Command } from "commander";
import type { DaemonAddress } from "../client/index.ts";
import { UsageError } from "./usage-error.ts";

/** Flags of every command that talks to a daemon. They may stand before or after the command's name. */
export interface ClientFlags {
  readonly addr?: string;
  readonly tlsservername?: string;
  readonly tlscacert?: string;
  readonly tlscert?: string;
  readonly tlskey?: string;
  readonly tlsdir?: string;
  readonly timeout?: number;
  readonly debug?: boolean;
  /** Connecting is tried again until it succeeds or its time is up. */
  readonly wait?: boolean;
}

export const defaultAddress = "unix:///run/buildkit/buildkitd.sock";
const defaultTimeoutSeconds = 5;

const flags: readonly (readonly [flags: string, help: string])[] = [
  [
    "--addr <address>",
    `daemon to use, or several with commas between them (env BUILDFLEET_ADDR, BUILDKIT_HOST; default: ${defaultAddress})`,
  ],
  ["--tlsservername <name>", "name the daemon's certificate must carry (default: host of the address)"],
  ["--tlscacert <file>", "CA certificate to check the daemon with (PEM)"],
  ["--tlscert <file>", "client certificate (PEM)"],
  ["--tlskey <file>", "key of the client certificate (PEM)"],
  ["--tlsdir <dir>", "directory with ca.pem, cert.pem, key.pem or ca.crt, tls.crt, tls.key"],
  ["--timeout <seconds>", `how long connecting may take (default: ${defaultTimeoutSeconds})`],
  ["--debug", "show what went on when something fails"],
];

/** @param hidden for commands below the one that shows them */
export function addClientOptions(command: Command, hidden: boolean): Command {
  for (const [name, help] of flags) {
    const option = command.createOption(name, help).hideHelp(hidden);
    if (name.startsWith("--timeout")) option.argParser(parseTimeout);
    command.addOption(option);
  }
  return command;
}

function parseTimeout(text: string): number {
  const seconds = Number(text);
  if (text.trim() === "" || !(seconds >= 0)) {
    throw new UsageError(`--timeout wants a number of seconds, not ${JSON.stringify(text)}`);
  }
  return seconds;
}

/** Flags of the command and of those above it; those nearer to it win. */
export function clientFlags(command: Command): ClientFlags {
  const above = command.parent === null ? {} : clientFlags(command.parent);
  return { ...above, ...command.opts<ClientFlags>() };
}

/** @throws UsageError when TLS files are missing or given twice */
export async function daemonAddress(options: ClientFlags, env = process.env): Promise<DaemonAddress> {
  const address = options.addr || env["BUILDFLEET_ADDR"] || env["BUILDKIT_HOST"] || defaultAddress;
  const timeoutMs = (options.timeout ?? defaultTimeoutSeconds) * 1000;
  const where = { address, timeoutMs, ...(options.wait ? { wait: true } : {}) };
  const files = await tlsFiles(options);
  if (files === undefined) return where;
  const serverName = options.tlsservername === undefined ? {} : { serverName: options.tlsservername };
  return { ...where, tls: { ...files, ...serverName } };
}

async function tlsFiles(options: ClientFlags) {
  const { tlscacert: ca, tlscert: cert, tlskey: key, tlsdir } = options;
  const given = ca !== undefined || cert !== undefined || key !== undefined;
  if (tlsdir !== undefined) {
    if (given) throw new UsageError("cannot specify --tlsdir and --tlscacert/--tlscert/--tlskey at the same time");
    return {
      ca: await oneOf(tlsdir, "ca.pem", "ca.crt"),
      cert: await oneOf(tlsdir, "cert.pem", "tls.crt"),
      key: await oneOf(tlsdir, "key.pem", "tls.key"),
    };
  }
  if (!given) return undefined;
  for (const file of [ca, cert, key]) if (file !== undefined) await mustExist(file);
  return {
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
  };
}

async function oneOf(directory: string, ...names: readonly string[]): Promise<string> {
  for (const name of names) {
    const path = join(directory, name);
    if (await exists(path)) return path;
  }
  throw new UsageError(`directory ${directory} has neither ${names.join(" nor ")}`);
}

async function mustExist(file: string): Promise<void> {
  if (!(await exists(file))) throw new UsageError(`cannot read ${file}`);
}

async function exists(file: string): Promise<boolean> {
  return access(file).then(
    () => true,
    () => false,
  );
}
