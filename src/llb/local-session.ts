/**
 * `local.session` of a `local://` source: a session's id, or `prefix:id`, which also changes the source's name
 * (BuildKit source/local/source.go).
 */
export function parseLocalSession(
  identifier: string,
  attribute = "",
): { readonly name: string; readonly sessionId: string } {
  const name = identifier.replace(/^local:\/\//, "");
  const colon = attribute.indexOf(":");
  if (colon < 0) return { name, sessionId: attribute };
  return { name: `${attribute.slice(0, colon)}-${name}`, sessionId: attribute.slice(colon + 1) };
}
