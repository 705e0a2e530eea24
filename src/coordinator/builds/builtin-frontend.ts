export interface NamedFrontend {
  readonly frontend: string;
  readonly options: Readonly<Record<string, string>>;
}

/**
 * The built-in Dockerfile frontend stands in for the image of that name, unless the client brings its own (BuildKit
 * solver/llbsolver/solver.go, Solve).
 */
export function withBuiltinFrontend(asked: NamedFrontend): NamedFrontend {
  const { source, ...options } = asked.options;
  if (asked.frontend !== "gateway.v0" || source !== "dockerfile.v0") return asked;
  if (Object.keys(options).some((key) => /^context:dockerfile\.v0($|::)/.test(key))) return asked;
  return { frontend: "dockerfile.v0", options };
}
