import type { Definition } from "../../api/gen/ops.ts";
import type { FrontendResult, LlbBridge } from "./llb-bridge.ts";

/** Turns a source language into LLB, e.g. `dockerfile.v0`. Stateless; all it learns comes through the bridge. */
export interface Frontend {
  readonly name: string;
  /**
   * @param opts frontend attributes (map e1)
   * @throws BuildError with a Source detail where a line of the input is at fault
   */
  solve(
    bridge: LlbBridge,
    opts: Readonly<Record<string, string>>,
    inputs: Readonly<Record<string, Definition>>,
    signal: AbortSignal,
  ): Promise<FrontendResult>;
}
