/**
 * What this thread computes, in processor time: on a busy machine a clock says more about the others. Kernels count in steps of
 * up to 4 ms, so that it is right of many calls together only.
 */
export class ProcessorTime {
  #micros = 0;

  /** Spent so far, microseconds. */
  get micros(): number {
    return this.#micros;
  }

  spend<T>(work: () => T): T {
    const before = used();
    const result = work();
    this.#micros += used() - before;
    return result;
  }
}

function used(): number {
  const { user, system } = process.threadCpuUsage?.() ?? process.cpuUsage();
  return user + system;
}
