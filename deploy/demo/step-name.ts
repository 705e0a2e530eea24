/** `[pages 5/5] RUN --mount=type=cache,target=/x sh y` without what stands between instruction and command, and not too long. */
export function shortName(name: string, width: number): string {
  const short = name.replace(/ --mount=\S+/g, "").replace(/\s+/g, " ");
  return short.length > width ? `${short.slice(0, width - 1)}…` : short;
}

/** True for a step of the Dockerfile that has something to do, as opposed to what clients and frontends add and to base images. */
export function isStep(name: string): boolean {
  return /^\[(?!internal\])[^\]]+\] (?!FROM )/.test(name);
}

export function stageOf(name: string): string {
  return /^\[(\S+)/.exec(name)?.[1] ?? "";
}
