import type { SourceOp } from "../../api/gen/ops.ts";
import { formatPlatform, type Platform } from "../../core/values/platform.ts";
import type { OpFacts } from "./op-facts.ts";

/** An image's name and digest are told apart, so that one that has moved is seen as such. */
export function sourceFacts({ identifier, attrs }: SourceOp, platform: Platform, pin: string | undefined): OpFacts {
  const image = /^(?:docker-image|oci-layout):\/\/([^@]*)(?:@(.*))?$/.exec(identifier);
  if (image !== null) {
    const [, name = "", digest = pin] = image;
    return { image: name, ...(digest === undefined ? {} : { digest }), ...attrs, platform: formatPlatform(platform) };
  }
  // Attributes of a local directory name sessions and differ each time; its files are what counts.
  if (identifier.startsWith("local://")) return { source: identifier };
  return { source: identifier, ...attrs, ...(pin === undefined ? {} : { [pinName(identifier)]: pin }) };
}

function pinName(identifier: string): string {
  return identifier.startsWith("git://") ? "commit" : "content";
}
