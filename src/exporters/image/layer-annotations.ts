/** diffId of a blob. */
export const diffIdAnnotation = "containerd.io/uncompressed";

const internal = new Set([diffIdAnnotation, "buildkit/createdat"]);

/** Annotations of a layer that others may see. */
export function shownAnnotations(annotations: Readonly<Record<string, string>> = {}): Readonly<Record<string, string>> {
  const shown = Object.entries(annotations).filter(
    ([key]) => !internal.has(key) && !key.startsWith("containerd.io/distribution.source."),
  );
  return Object.fromEntries(shown);
}
