import type { ProxyEnv } from "../../../api/gen/ops.ts";

const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** A step's environment: its own, the proxies in both spellings, a PATH if there is none, then secrets (map c6, c11). */
export function stepEnvironment(
  env: readonly string[],
  proxies: ProxyEnv | undefined,
  secrets: readonly string[],
): string[] {
  const all = [...env, ...(proxies === undefined ? [] : proxyVariables(proxies))];
  if (!all.some((entry) => entry.startsWith("PATH="))) all.push(`PATH=${defaultPath}`);
  return [...all, ...secrets];
}

function proxyVariables(proxies: ProxyEnv): string[] {
  const named: readonly (readonly [string, string])[] = [
    ["http_proxy", proxies.httpProxy],
    ["https_proxy", proxies.httpsProxy],
    ["ftp_proxy", proxies.ftpProxy],
    ["no_proxy", proxies.noProxy],
    ["all_proxy", proxies.allProxy],
  ];
  return named
    .filter(([, value]) => value !== "")
    .flatMap(([name, value]) => [`${name.toUpperCase()}=${value}`, `${name}=${value}`]);
}
