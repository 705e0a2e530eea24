export { stateFromDefinition } from "./definition-state.ts";
export { EnvList } from "./env-list.ts";
export type { ExecMount, ExecOptions, ExecSecret, ExecSsh } from "./exec-vertex.ts";
export { type CopyOptions, FileAction, type MkdirOptions, type Ownership, parseOwnership } from "./file-action.ts";
export { type GitUrl, parseGitUrl } from "./git-url.ts";
export { basePath, cleanPath, dirPath, joinPath } from "./go-path.ts";
export {
  familiarReference,
  formatReference,
  type ImageReference,
  parseReference,
  withDefaultTag,
} from "./image-reference.ts";
export { definitionHead, type MarshalOptions, marshalState, marshalSteps } from "./marshal-state.ts";
export { diff, merge } from "./merge-diff.ts";
export type { SourceLocation, SourceMap } from "./source-map.ts";
export { SourceVertex } from "./source-vertex.ts";
export {
  type GitOptions,
  git,
  type HttpOptions,
  http,
  type ImageOptions,
  image,
  type LocalOptions,
  local,
  type OciLayoutOptions,
  ociLayout,
  type ResolveMode,
} from "./sources.ts";
export { State, scratch } from "./state.ts";
export { DeferredOutput, type MarshalContext, type MarshalledVertex, type Output, type Vertex } from "./vertex.ts";
export { platformFromWire, type VertexOptions, wirePlatform } from "./vertex-options.ts";
