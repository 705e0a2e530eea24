import type { Vertex } from "../core/seams/op.ts";
import { csvFields } from "../frontend/dockerfile/instructions/csv-fields.ts";

/**
 * Vertices whose scheduling goes into the log in detail: all with `BUILDKIT_SCHEDULER_DEBUG=1`; with
 * `BUILDKIT_SCHEDULER_DEBUG_STEPS` those with one of these texts in their name, and where the text ends in `^`, those made from such
 * (BuildKit solver/debug.go).
 * @throws BuildError when the list of texts cannot be read
 */
export function debuggedVertices(
  env: Readonly<Record<string, string | undefined>>,
): (vertex: Pick<Vertex, "name" | "inputs">) => boolean {
  if (env["BUILDKIT_SCHEDULER_DEBUG"] === "1") return () => true;
  const { BUILDKIT_SCHEDULER_DEBUG_STEPS: list = "" } = env;
  const steps = (list === "" ? [] : csvFields(list)).filter((step) => step.replace(/\^$/, "") !== "");
  return ({ name, inputs }) =>
    steps.some((step) => {
      if (!step.endsWith("^")) return name.includes(step);
      const text = step.slice(0, -1);
      return name.includes(text) || inputs.some(({ vertex }) => vertex.name.includes(text));
    });
}
