import { hostname } from "node:os";

/** Splits `host:port`; an IPv6 host is written in brackets and given back without them. */
export function splitHostPort(text: string): { readonly host: string; readonly port: number } {
  const colon = text.lastIndexOf(":");
  return { host: text.slice(0, colon).replace(/^\[(.*)\]$/, "$1"), port: Number(text.slice(colon + 1)) };
}

/** What others dial to reach a listener: its host, or this machine's name when it listens on all addresses. */
export function dialAddress(listenHost: string, port: number): string {
  if (["0.0.0.0", "::", ""].includes(listenHost)) return `${hostname()}:${port}`;
  return listenHost.includes(":") ? `[${listenHost}]:${port}` : `${listenHost}:${port}`;
}
