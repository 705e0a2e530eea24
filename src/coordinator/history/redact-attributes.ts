const credentials = /^(https?:\/\/)[^/?#@]*@|^([a-z][a-z0-9+.-]*:\/\/)[^/?#@]*:[^/?#@]*@/i;

/**
 * Attributes as a record may show them: everything but what stands before the `@` of a URL, which over HTTP may be a token even
 * without a password. BuildKit keeps it (solver/llbsolver/history.go); records here are read by everybody who may build.
 */
export function redactAttributes(attributes: Readonly<Record<string, string>>): Record<string, string> {
  const redacted = (value: string) =>
    value.replace(credentials, (_match, http: string | undefined, other: string | undefined) => {
      return `${http ?? other}xxxxx@`;
    });
  return Object.fromEntries(Object.entries(attributes).map(([key, value]) => [key, redacted(value)]));
}
