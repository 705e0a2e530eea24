const authority = /^([a-zA-Z][a-zA-Z0-9+.-]*:\/\/)([^/?#@]*)@/;
const mask = "xxxxx";

/** The URL without its user and password (BuildKit util/urlutil/redact.go); what is no URL stays as it is. */
export function redactUrl(text: string): string {
  return text.replace(authority, (_match, scheme: string, user: string) => {
    const colon = user.indexOf(":");
    const name = colon < 0 ? user : user.slice(0, colon);
    const shown = (name === "" ? "" : mask) + (colon < 0 ? "" : `:${mask}`);
    return shown === "" ? scheme : `${scheme}${shown}@`;
  });
}
