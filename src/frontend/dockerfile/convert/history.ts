import { formatUnixTime } from "../image/index.ts";
import type { BuildStage } from "./build-stage.ts";

/** Adds a line to the image's history; `layer` when the instruction makes one. */
export function addHistory(
  stage: BuildStage,
  text: string,
  epoch: number | undefined,
  options: { readonly layer?: boolean } = {},
): void {
  stage.image.history.push({
    ...(epoch === undefined ? {} : { created: formatUnixTime(epoch) }),
    created_by: text,
    comment: "buildkit.dockerfile.v0",
    ...(options.layer ? {} : { empty_layer: true }),
  });
}
