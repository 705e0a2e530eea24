import type { AdditionalProcess, ContainerProcess, ExecUsage, Executor, ProcessIo } from "../core/seams/executor.ts";
import { inSpan } from "../telemetry/index.ts";

/** A span for the life of each container: its making, the process, its removal. No arguments, no environment. */
export class TracingExecutor implements Executor {
  readonly name: string;
  readonly #inner: Executor;

  constructor(inner: Executor) {
    this.name = inner.name;
    this.#inner = inner;
  }

  async run(process: ContainerProcess, io: ProcessIo, signal: AbortSignal): Promise<ExecUsage> {
    const attributes = { "container.id": process.id, "container.runtime": this.name };
    return inSpan("run container", { attributes }, async (span) => {
      const usage = await this.#inner.run(process, io, signal);
      span.set({
        "process.exit_code": usage.exitCode,
        "process.cpu_ms": Math.round(usage.cpuNanos / 1e6),
        "process.peak_memory_bytes": usage.peakMemoryBytes,
        "process.wall_ms": Math.round(usage.wallMs),
      });
      return usage;
    });
  }

  exec(container: string, process: AdditionalProcess, io: ProcessIo, signal: AbortSignal): Promise<void> {
    const attributes = { "container.id": container, "container.runtime": this.name };
    return inSpan("run in container", { attributes }, () => this.#inner.exec(container, process, io, signal));
  }

  reap(): Promise<void> {
    return this.#inner.reap();
  }
}
