import type { Clock } from "../../../src/core/seams/clock.ts";
import { silentLogger } from "../../../src/core/seams/logger.ts";
import type { SessionGroup } from "../../../src/core/seams/session-caller.ts";
import type { RegistryConfig } from "../../../src/registry/index.ts";
import { RegistryClient, RegistryHosts } from "../../../src/registry/index.ts";
import { noSessions } from "../../helpers/no-sessions.ts";

/** Time that stands still; sleeping only writes down for how long. */
export class RecordingClock implements Clock {
  readonly sleeps: number[] = [];
  time = 1_700_000_000_000;
  /** What happens meanwhile. */
  onSleep: () => Promise<void> = async () => {};

  now(): number {
    return this.time;
  }

  async sleep(ms: number, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    this.sleeps.push(ms);
    await this.onSleep();
  }
}

export interface TestClient extends AsyncDisposable {
  readonly client: RegistryClient;
  readonly clock: RecordingClock;
}

export function testClient(config: Record<string, RegistryConfig> = {}): TestClient {
  const hosts = new RegistryHosts(config);
  const clock = new RecordingClock();
  return {
    clock,
    client: new RegistryClient({ hosts, clock, logger: silentLogger }),
    [Symbol.asyncDispose]: () => hosts[Symbol.asyncDispose](),
  };
}

export function callFor(sessions: SessionGroup = noSessions, signal = new AbortController().signal) {
  return { sessions, signal };
}

export async function collect(bytes: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of bytes) chunks.push(chunk);
  return Buffer.concat(chunks);
}
