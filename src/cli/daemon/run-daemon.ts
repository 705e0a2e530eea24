import { hostname } from "node:os";
import type { LogConfig, Resolved } from "../../config/index.ts";
import type { Logger } from "../../core/seams/logger.ts";
import { createLogger, startTracing } from "../../telemetry/index.ts";
import { version } from "../../version.ts";
import type { CliContext } from "../context.ts";
import { useOwnTemporaryDirectory } from "./own-temporary-directory.ts";
import { notifySystemd } from "./sd-notify.ts";
import { StateLock } from "./state-lock.ts";

export interface DaemonOptions<Config extends { readonly log: LogConfig }, Running extends AsyncDisposable> {
  readonly name: string;
  readonly resolved: Resolved<Config>;
  readonly stateDirectory: string;
  readonly start: (config: Config, logger: Logger) => Promise<Running>;
  /** Fields of the line that says it is up: addresses, ids. */
  readonly describe: (running: Running) => Readonly<Record<string, unknown>>;
  /** Before everything is taken down: let work finish. */
  readonly drain?: (running: Running) => Promise<void>;
  /** Resolves when the daemon has reason to end by itself. */
  readonly finished?: (running: Running, signal: AbortSignal) => Promise<void>;
  /** Aborts at the first SIGINT or SIGTERM; the second ends the drain, the third the process. */
  readonly signal: AbortSignal;
  readonly onSecondSignal: CliContext["onSecondSignal"];
}

/** Runs a daemon until it is told to stop: lock, start, tell systemd, wait, drain, take down. */
export async function runDaemon<Config extends { readonly log: LogConfig }, Running extends AsyncDisposable>(
  options: DaemonOptions<Config, Running>,
): Promise<void> {
  const { config, warnings } = options.resolved;
  const logger = createLogger(config.log);
  for (const warning of warnings) logger.warn(warning);
  using _lock = StateLock.take(options.stateDirectory);
  await useOwnTemporaryDirectory(options.stateDirectory);
  // Ends after the daemon, so that its last spans are sent.
  await using _tracing = await startTracing(process.env, {
    serviceName: `buildfleet-${options.name}`,
    resource: { "service.version": version, "host.name": hostname() },
    logger,
  });
  await using running = await options.start(config, logger);
  logger.info(`${options.name} is ready`, { pid: process.pid, ...options.describe(running) });
  notify("READY=1", logger);
  await Promise.race([aborted(options.signal), options.finished?.(running, options.signal) ?? never]);
  // Containers would outlive a process that ends in the midst of its drain.
  const hurry = new Promise<void>((resolve) => options.onSecondSignal?.(resolve));
  logger.info(`${options.name} is stopping; a second signal ends what still runs, a third the process at once`);
  notify("STOPPING=1", logger);
  await Promise.race([options.drain?.(running), hurry]);
}

const never = new Promise<void>(() => {});

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

/** A service manager that does not listen is no reason to stop. */
function notify(state: string, logger: Logger): void {
  try {
    notifySystemd(state);
  } catch (error) {
    logger.warn("cannot notify systemd", { error: String(error) });
  }
}
