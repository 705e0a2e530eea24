import { defaultHostname } from "../spec/build-spec.ts";

/** A step's /etc/hosts (BuildKit executor/oci/hosts.go). */
export function generateHosts(
  hostname: string,
  extraHosts: readonly { readonly host: string; readonly ip: string }[],
): string {
  return [
    `127.0.0.1\tlocalhost ${hostname === "" ? defaultHostname : hostname}`,
    "::1\tlocalhost ip6-localhost ip6-loopback",
    ...extraHosts.map(({ host, ip }) => `${ip}\t${host}`),
    "",
  ].join("\n");
}
