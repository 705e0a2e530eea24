import type { SourceOp } from "../api/gen/ops.ts";

/** An attribute, as rules see it: empty when it is not there. */
export function sourceAttr({ attrs }: SourceOp, key: string): string {
  return (Object.hasOwn(attrs, key) ? attrs[key] : undefined) ?? "";
}
