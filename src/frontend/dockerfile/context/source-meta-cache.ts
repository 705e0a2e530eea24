import type { LlbBridge, SourceMeta, SourceMetaRequest } from "../../../core/seams/llb-bridge.ts";

/** Asks the bridge for a source's metadata once per distinct question, however many stages and platforms ask. */
export class SourceMetaCache {
  readonly #bridge: LlbBridge;
  readonly #answers = new Map<string, Promise<SourceMeta>>();

  constructor(bridge: LlbBridge) {
    this.#bridge = bridge;
  }

  resolve(request: SourceMetaRequest, signal: AbortSignal): Promise<SourceMeta> {
    const key = JSON.stringify(request);
    let answer = this.#answers.get(key);
    if (answer === undefined) {
      answer = this.#bridge.resolveSourceMeta(request, signal);
      this.#answers.set(key, answer);
    }
    return answer;
  }
}
