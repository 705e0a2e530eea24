import { setFlagsFromString } from "node:v8";

/**
 * Has V8 weigh buffers together with its heap. Left alone it collects the whole heap, on threads of its own, for every 64 MB
 * of buffers that have passed through the process, which is most of what a stream of some hundred MB/s then costs. Affects
 * the whole process; for the start of daemons.
 */
export function weighBuffersWithHeap(): void {
  setFlagsFromString("--external-memory-accounted-in-global-limit");
}
