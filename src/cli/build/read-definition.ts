import type { Readable } from "node:stream";
import { buffer } from "node:stream/consumers";
import { Definition } from "../../api/gen/ops.ts";
import { sha256 } from "../../core/values/digest.ts";
import { UsageError } from "../usage-error.ts";

/**
 * Reads a marshalled LLB definition, as `buildctl` takes it on stdin.
 * @param ignoreCache marks every vertex so
 * @returns the marshalled definition
 */
export async function readDefinition(input: Readable, ignoreCache: boolean): Promise<Uint8Array> {
  const bytes = await buffer(input);
  let definition: Definition;
  try {
    definition = Definition.decode(bytes);
  } catch (error) {
    throw new UsageError(`stdin holds no LLB definition: ${(error as Error).message}`, { cause: error });
  }
  if (definition.def.length === 0) {
    throw new UsageError("empty definition sent to build. Specify --frontend instead?");
  }
  if (!ignoreCache) return bytes;
  for (const op of definition.def) {
    const digest = sha256(op);
    definition.metadata[digest] = {
      description: {},
      exportCache: undefined,
      caps: {},
      progressGroup: undefined,
      linuxResources: undefined,
      ...definition.metadata[digest],
      ignoreCache: true,
    };
  }
  return Definition.encode(definition).finish();
}
