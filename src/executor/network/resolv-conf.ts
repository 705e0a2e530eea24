import { isIP } from "node:net";

export interface DnsConfig {
  readonly nameservers: readonly string[];
  readonly searchDomains: readonly string[];
  readonly options: readonly string[];
}

/** Taken when nothing but this machine's own resolver is left: Google's, as Docker does. */
const publicNameservers = ["8.8.8.8", "8.8.4.4", "2001:4860:4860::8888", "2001:4860:4860::8844"];

/** systemd-resolved's stub, useless from another network namespace; the real servers are in `alternatePath`. */
const resolvedStub = "127.0.0.53";
export const resolvConfPath = "/etc/resolv.conf";
export const alternatePath = "/run/systemd/resolve/resolv.conf";

/**
 * A step's /etc/resolv.conf from the host's (BuildKit executor/oci/resolvconf.go, util/resolvconf). Nameservers on loopback are
 * of no use in a container and replaced, except with host network where they can be reached, and except configured ones.
 */
export function generateResolvConf(
  host: string,
  options: { readonly dns?: DnsConfig; readonly hostNetwork: boolean },
): string {
  const { dns } = options;
  const parsed = parse(host);
  const overridden = dns !== undefined && dns.nameservers.length > 0;
  let nameservers = overridden ? dns.nameservers : parsed.nameservers;
  if (!overridden && (!options.hostNetwork || nameservers.length === 0)) {
    nameservers = nameservers.filter((address) => !isLoopback(address));
    if (nameservers.length === 0) nameservers = publicNameservers;
  }
  const search =
    dns !== undefined && dns.searchDomains.length > 0
      ? dns.searchDomains.filter((domain) => domain !== ".")
      : parsed.search;
  const resolverOptions = dns !== undefined && dns.options.length > 0 ? dns.options : parsed.options;
  const lines = nameservers.map((address) => `nameserver ${address}`);
  if (search.length > 0) lines.push(`search ${search.join(" ")}`);
  if (resolverOptions.length > 0) lines.push(`options ${resolverOptions.join(" ")}`);
  return [...lines, ...parsed.other].map((line) => `${line}\n`).join("");
}

/** True when the host asks systemd-resolved only. */
export function usesResolvedStub(host: string): boolean {
  const { nameservers } = parse(host);
  return nameservers.length === 1 && nameservers[0] === resolvedStub;
}

interface Parsed {
  readonly nameservers: string[];
  search: string[];
  readonly options: string[];
  readonly other: string[];
}

function parse(text: string): Parsed {
  const parsed: Parsed = { nameservers: [], search: [], options: [], other: [] };
  for (const line of text.split("\n")) {
    if (line === "" || line.startsWith("#") || line.startsWith(";")) continue;
    const [directive, ...values] = line.trim().split(/\s+/);
    if (directive === "") continue;
    switch (directive) {
      case "nameserver":
        if (values[0] !== undefined && isIP(values[0]) !== 0) parsed.nameservers.push(values[0]);
        break;
      case "domain":
      case "search":
        if (values.length > 0) parsed.search = values;
        break;
      case "options":
        parsed.options.push(...values);
        break;
      default:
        parsed.other.push(line);
    }
  }
  return parsed;
}

function isLoopback(address: string): boolean {
  return address.startsWith("127.") || address === "::1" || address.toLowerCase().startsWith("::ffff:127.");
}
