import { parentPort } from "node:worker_threads";
import { AsyncQueue } from "../../util/async-queue.ts";
import { type JobKind, jobs, type ThreadIo } from "./jobs.ts";
import { type FromWorker, type ToWorker, toThreadError, windowChunks } from "./messages.ts";

/** Entry of a LayerWorkers thread: runs one job after the other. */
const port = parentPort;
if (port === null) throw new Error("layer-worker is a thread of LayerWorkers and cannot be run by itself");

// Nothing is transferred: the writer may use a chunk again, as the archive's trailer, and would find it empty.
const send = (message: FromWorker) => port.postMessage(message);

let input = new AsyncQueue<Uint8Array>();
let credits = windowChunks;
let wake: (() => void) | undefined;

async function* takeInput(queue: AsyncQueue<Uint8Array>): AsyncGenerator<Uint8Array> {
  for await (const chunk of queue) {
    send({ type: "credit" });
    yield chunk;
  }
}

async function write(chunk: Uint8Array): Promise<void> {
  while (credits === 0) {
    await new Promise<void>((resolve) => {
      wake = resolve;
    });
  }
  credits--;
  send({ type: "output", chunk });
}

async function runJob(kind: JobKind, args: unknown): Promise<void> {
  input = new AsyncQueue<Uint8Array>();
  credits = windowChunks;
  const io: ThreadIo = { input: takeInput(input), write };
  try {
    const run = jobs[kind] as (args: unknown, io: ThreadIo) => unknown;
    send({ type: "done", result: await run(args, io) });
  } catch (error) {
    send({ type: "failed", error: toThreadError(error) });
  }
}

port.on("message", (message: ToWorker) => {
  switch (message.type) {
    case "job":
      void runJob(message.kind as JobKind, message.args);
      break;
    case "input":
      input.offer(message.chunk);
      break;
    case "input-end":
      input.end();
      break;
    case "credit":
      credits++;
      wake?.();
      break;
  }
});
