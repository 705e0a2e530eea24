import type { Definition } from "../../api/gen/ops.ts";
import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import type { LlbBridge, SourceMeta, SourceMetaRequest } from "../../core/seams/llb-bridge.ts";
import type { Digest } from "../../core/values/digest.ts";
import { formatReference, image, marshalState, parseReference, withDefaultTag } from "../../llb/builder/index.ts";
import { BuildContext, findNamedContext } from "../dockerfile/context/index.ts";
import { type ContainerConfig, emptyContainerConfig, parseImage } from "../dockerfile/image/index.ts";

type Opts = Readonly<Record<string, string>>;

/** An image that is a frontend: where its files come from, and how it is run. */
export interface FrontendImage {
  readonly definition: Definition;
  readonly config: ContainerConfig;
  /** Of its manifest; unknown for a named context. */
  readonly digest?: Digest;
}

/**
 * The image `source`: a context of that name which the client gave, else one from a registry (BuildKit
 * frontend/gateway/gateway.go Solve). It is for the platform that the fleet offers first, whatever the build is for.
 */
export async function loadFrontendImage(
  bridge: LlbBridge,
  source: string,
  opts: Opts,
  inputs: Readonly<Record<string, Definition>>,
  signal: AbortSignal,
): Promise<FrontendImage> {
  const platform = bridge.workers()[0]?.platforms[0];
  const on = platform === undefined ? {} : { platform };
  const context = findNamedContext(new BuildContext(bridge, opts, inputs), source, on);
  if (context !== undefined) {
    const { state, image: config } = await context.load(signal);
    return { definition: marshalState(state, on), config: config?.config ?? emptyContainerConfig() };
  }
  const reference = formatReference(withDefaultTag(parseReference(source)));
  const meta = await resolveImage(bridge, reference, on, signal);
  if (meta.image === undefined) {
    throw new BuildError(
      Code.Unknown,
      `ref mutated by policy to non-image: docker-image://${reference} -> ${meta.source.identifier}`,
    );
  }
  const { digest } = meta.image;
  const resolved = parseReference(meta.source.identifier.replace(/^docker-image:\/\//, ""));
  const state = image(formatReference({ ...resolved, digest }), { recordType: "frontend" });
  return { definition: marshalState(state, on), config: parseImage(meta.image.config).config, digest };
}

async function resolveImage(
  bridge: LlbBridge,
  reference: string,
  on: Pick<SourceMetaRequest, "platform">,
  signal: AbortSignal,
): Promise<SourceMeta> {
  const source = { identifier: `docker-image://${reference}`, attrs: {} };
  try {
    return await bridge.resolveSourceMeta({ source, ...on }, signal);
  } catch (error) {
    throw BuildError.from(error).wrap(`failed to resolve source metadata for ${reference}`);
  }
}

/** @param allowed repositories frontends may come from; empty: any. @throws BuildError */
export function checkAllowedSource(source: string, allowed: readonly string[]): void {
  if (allowed.length === 0) return;
  const repository = (text: string) => {
    const { domain, path } = parseReference(text);
    return `${domain}/${path}`;
  };
  const wanted = repository(source);
  if (!allowed.some((entry) => repository(entry) === wanted)) {
    throw new BuildError(Code.Unknown, `'${source}' is not an allowed gateway source`);
  }
}
