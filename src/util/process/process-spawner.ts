import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { createConnection, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type ExitStatus, encodeFrame, FrameReader, FrameType, type SpawnFailure } from "./frames.ts";
import { SpawnError } from "./spawn-error.ts";

export interface ProcessSpawnerOptions {
  /** Script of the helper; default is the one beside this module (`spawn-helper.ts`, or `spawn-helper.mjs` in a bundle). */
  readonly helperPath?: string;
}

export interface SpawnOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  readonly stdin?: AsyncIterable<Uint8Array>;
  /** Terminal device the process gets in place of pipes; `stdin`, `stdout` and `stderr` are then not used. */
  readonly terminal?: string;
  /** Called in order; a promise holds the process back until it resolves. Absent: thrown away. */
  readonly stdout?: (data: Uint8Array) => void | Promise<void>;
  readonly stderr?: (data: Uint8Array) => void | Promise<void>;
  /** Kills with SIGKILL and rejects with its reason once the process is gone. */
  readonly signal?: AbortSignal;
  readonly onStarted?: (pid: number) => void;
}

interface Helper {
  readonly socketPath: string;
  stop(): Promise<void>;
}

/**
 * Starts processes from a small helper process, so that a spawn costs the same however large this process is. One per agent.
 * The helper is started on first use and again after it died; processes it had started are killed with it.
 */
export class ProcessSpawner implements AsyncDisposable {
  readonly #helperPath: string;
  #helper: Promise<Helper> | undefined;
  #disposed = false;

  constructor(options: ProcessSpawnerOptions = {}) {
    const beside = import.meta.url.endsWith(".ts") ? "./spawn-helper.ts" : "./spawn-helper.mjs";
    this.#helperPath = options.helperPath ?? fileURLToPath(new URL(beside, import.meta.url));
  }

  /**
   * Runs to the end: resolves when the process has exited and its output is consumed.
   * @throws SpawnError
   */
  async run(argv: readonly string[], options: SpawnOptions = {}): Promise<ExitStatus> {
    options.signal?.throwIfAborted();
    const helper = await this.#start();
    const connection = createConnection(helper.socketPath);
    // An error shows as an early end of the stream.
    connection.on("error", () => {});
    try {
      return await this.#talk(connection, argv, options);
    } catch (error) {
      // A connection breaks a little before the exit shows; whoever comes next must find a new helper.
      if (error instanceof SpawnError && error.reason === "lost") await helper.stop();
      throw error;
    } finally {
      connection.destroy();
    }
  }

  /** Runs a short command and keeps its output (`maxBytes` of each stream; default 1 MiB). */
  async capture(
    argv: readonly string[],
    options: Omit<SpawnOptions, "stdout" | "stderr"> & { readonly maxBytes?: number } = {},
  ): Promise<ExitStatus & { readonly stdout: string; readonly stderr: string }> {
    const stdout = new LimitedText(options.maxBytes ?? 1 << 20);
    const stderr = new LimitedText(options.maxBytes ?? 1 << 20);
    const status = await this.run(argv, {
      ...options,
      stdout: (data) => stdout.add(data),
      stderr: (data) => stderr.add(data),
    });
    return { ...status, stdout: stdout.text(), stderr: stderr.text() };
  }

  /** Ends the helper, and with it every process it started. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#disposed = true;
    const helper = await this.#helper?.catch(() => undefined);
    await helper?.stop();
  }

  async #talk(connection: Socket, argv: readonly string[], options: SpawnOptions): Promise<ExitStatus> {
    const { signal } = options;
    let pid: number | undefined;
    const kill = () => {
      if (pid === undefined) return;
      try {
        process.kill(pid, "SIGKILL");
      } catch {
        // It has just ended.
      }
    };
    signal?.addEventListener("abort", kill, { once: true });
    let feeding: Promise<void> | undefined;
    try {
      connection.write(
        encodeFrame(
          FrameType.Request,
          JSON.stringify({
            argv,
            env: options.env ?? process.env,
            cwd: options.cwd ?? "/",
            stdin: options.stdin !== undefined,
            terminal: options.terminal ?? "",
          }),
        ),
      );
      const reader = new FrameReader();
      for await (const chunk of readable(connection)) {
        for (const frame of reader.push(chunk)) {
          switch (frame.type) {
            case FrameType.Started:
              pid = Number(frame.payload.toString());
              options.onStarted?.(pid);
              if (signal?.aborted) kill();
              if (options.stdin !== undefined) feeding = feed(connection, options.stdin);
              break;
            case FrameType.Stdout:
              await options.stdout?.(frame.payload);
              break;
            case FrameType.Stderr:
              await options.stderr?.(frame.payload);
              break;
            case FrameType.Exited:
              pid = undefined;
              signal?.throwIfAborted();
              return JSON.parse(frame.payload.toString()) as ExitStatus;
            case FrameType.Failed: {
              const failure = JSON.parse(frame.payload.toString()) as SpawnFailure;
              throw new SpawnError(
                failure.errno === "ENOENT" ? "missing" : "failed",
                `Cannot start ${JSON.stringify(argv[0])}: ${failure.message}`,
              );
            }
          }
        }
      }
    } finally {
      signal?.removeEventListener("abort", kill);
      feeding?.catch(() => {});
    }
    kill();
    signal?.throwIfAborted();
    throw new SpawnError("lost", `Helper process ended while ${JSON.stringify(argv[0])} was running`);
  }

  #start(): Promise<Helper> {
    if (this.#disposed) throw new SpawnError("failed", "Process spawner is closed");
    if (this.#helper === undefined) {
      const started = startHelper(this.#helperPath, () => {
        if (this.#helper === started) this.#helper = undefined;
      });
      this.#helper = started;
    }
    return this.#helper;
  }
}

async function startHelper(helperPath: string, onGone: () => void): Promise<Helper> {
  // In a directory of its own, mode 0700: whoever reaches the socket runs programs as us.
  const directory = await mkdtemp(join(tmpdir(), "buildfleet-spawn-"));
  const socketPath = join(directory, "socket");
  const child = spawn(process.execPath, ["--no-warnings", helperPath, socketPath], {
    stdio: ["pipe", "pipe", "inherit"],
    // A session of its own: Ctrl-C at the agent's terminal is the agent's affair.
    detached: true,
  });
  child.stdin.on("error", () => {});
  const gone = new Promise<void>((resolve) => {
    const end = () => {
      onGone();
      rm(directory, { recursive: true, force: true }).then(resolve, resolve);
    };
    child.once("exit", end);
    child.once("error", end);
  });
  await new Promise<void>((resolve, reject) => {
    child.stdout.once("data", () => resolve());
    gone.then(() => reject(new SpawnError("failed", "Helper process did not start")));
  });
  // The helper must not keep this process alive; open connections do while something runs.
  child.unref();
  (child.stdout as unknown as { unref(): void }).unref();
  (child.stdin as unknown as { unref(): void }).unref();
  return {
    socketPath,
    stop: async () => {
      child.ref();
      child.stdin.end();
      await gone;
    },
  };
}

/** A reset connection is read as one that ended: the helper is gone either way. */
async function* readable(connection: Socket): AsyncGenerator<Buffer, void, undefined> {
  try {
    for await (const chunk of connection) yield chunk as Buffer;
  } catch (error) {
    if (connection.errored !== error) throw error;
  }
}

async function feed(connection: Socket, stdin: AsyncIterable<Uint8Array>): Promise<void> {
  const closed = new Promise<void>((resolve) => connection.once("close", resolve));
  try {
    for await (const data of stdin) {
      if (connection.destroyed) return;
      if (!connection.write(encodeFrame(FrameType.Stdin, data))) {
        await Promise.race([closed, new Promise<void>((resolve) => connection.once("drain", resolve))]);
      }
    }
  } finally {
    if (!connection.destroyed) connection.write(encodeFrame(FrameType.StdinEnd, ""));
  }
}

class LimitedText {
  readonly #maxBytes: number;
  readonly #parts: Uint8Array[] = [];
  #size = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  add(data: Uint8Array): void {
    const part = data.subarray(0, this.#maxBytes - this.#size);
    this.#size += part.length;
    if (part.length > 0) this.#parts.push(part);
  }

  text(): string {
    return Buffer.concat(this.#parts).toString();
  }
}
