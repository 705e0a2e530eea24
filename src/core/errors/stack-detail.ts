import type { ErrorDetail } from "./build-error.ts";

const stackTypeUrl = "github.com/moby/buildkit/stack.Stack+json";

/**
 * Where an error began, as a detail that clients print when they are asked for everything (BuildKit util/stack/stack.proto). Files
 * are named from the root of the sources; the command line is left out, it may hold credentials.
 */
export function stackDetail(error: Error, version: string): ErrorDetail {
  const frames = (innermost(error).stack ?? "").split("\n").flatMap(parseFrame);
  return { typeUrl: stackTypeUrl, value: Buffer.from(JSON.stringify({ frames, pid: process.pid, version })) };
}

/** The first error of the chain of causes: that of the place which failed. */
function innermost(error: Error): Error {
  let inner = error;
  const seen = new Set<Error>();
  while (inner.cause instanceof Error && !seen.has(inner.cause)) {
    seen.add(inner);
    inner = inner.cause;
  }
  return inner;
}

/** One line of V8: `at async Class.method (file:///…/src/a/b.ts:1:2)`, `at file:///…/src/a/b.ts:1:2`. */
function parseFrame(line: string): readonly { readonly Name: string; readonly File: string; readonly Line: number }[] {
  const match = /^ {4}at (?:(.+) \()?(\S+?):(\d+):\d+\)?$/.exec(line);
  if (match === null) return [];
  const [, name = "", file = "", number] = match;
  const place = file.startsWith("node:") ? file : (/(?:^|\/)(src\/.*)$/.exec(file)?.[1] ?? file.replace(/^.*\//, ""));
  return [{ Name: name.replace(/^async /, "") || "<anonymous>", File: place, Line: Number(number) }];
}
