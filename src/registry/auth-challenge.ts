/** One `WWW-Authenticate` challenge (RFC 7235); parameter names in lower case. */
export interface AuthChallenge {
  readonly scheme: "bearer" | "basic";
  readonly parameters: Readonly<Record<string, string>>;
}

const parameter = /\s*([!#$%&'*+.^_`|~0-9A-Za-z-]+)=(?:"((?:[^"\\]|\\.)*)"|([!#$%&'*+.^_`|~0-9A-Za-z-]*))\s*(,|$)/y;

/** The challenges we can answer, bearer first. Anything malformed is passed over. */
export function parseChallenges(headers: readonly string[]): readonly AuthChallenge[] {
  const challenges: AuthChallenge[] = [];
  for (const header of headers) {
    const scheme = /^\s*(bearer|basic)\b/i.exec(header);
    if (scheme?.[1] === undefined) continue;
    const parameters: Record<string, string> = {};
    parameter.lastIndex = scheme[0].length;
    for (;;) {
      const match = parameter.exec(header);
      if (match?.[1] === undefined) break;
      parameters[match[1].toLowerCase()] = match[2]?.replace(/\\(.)/g, "$1") ?? match[3] ?? "";
      if (match[4] !== ",") break;
    }
    challenges.push({ scheme: scheme[1].toLowerCase() as AuthChallenge["scheme"], parameters });
  }
  return challenges.sort((a, b) => (a.scheme === b.scheme ? 0 : a.scheme === "bearer" ? -1 : 1));
}
