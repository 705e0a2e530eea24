/** Paths of the blob server, made and matched in one place. */
function route(prefix: string) {
  return {
    of: (name: string): string => `${prefix}${name}`,
    match: (path: string): string | undefined =>
      path.startsWith(prefix) && !path.slice(prefix.length).includes("/") ? path.slice(prefix.length) : undefined,
  };
}

export const blobPath = route("/v1/blobs/");
export const layerPath = route("/v1/layers/");
/** Conversation of those who fetch a blob with those who have all or parts of it. */
export const swarmPath = route("/v1/swarms/");
export const cacheMountPath = route("/v1/cache-mounts/");

/** Answered at once, with nothing. */
export const alivePath = "/v1/alive";

/** Of a cache mount: what its bytes are, and, behind them, their digest. */
export const versionHeader = "x-cache-mount-version";
export const digestTrailer = "x-content-digest";
