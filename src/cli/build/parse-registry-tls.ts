import type { RegistryTls } from "../../client/session/index.ts";
import { csvPairs, parseBool } from "../csv-fields.ts";
import { UsageError } from "../usage-error.ts";

const flag = "--registry-auth-tlscontext";

/**
 * All `--registry-auth-tlscontext host=…,insecure=…,ca=…,cert=…,key=…`; those of a host are added up (BuildKit
 * cmd/buildctl/build/registryauthtlscontext.go).
 */
export function parseRegistryTls(texts: readonly string[]): ReadonlyMap<string, RegistryTls> {
  const hosts = new Map<string, RegistryTls>();
  for (const text of texts) {
    const {
      host = "",
      ca = "",
      cert = "",
      key = "",
      insecure,
    } = Object.fromEntries(csvPairs(text)) as Record<string, string>;
    const skipCheck = parseBool(insecure) ?? false;
    if (host === "") throw new UsageError(`${flag} requires host=<host>`);
    if ((cert === "") !== (key === "")) throw new UsageError(`${flag} requires cert=<cert>,key=<key>`);
    if (ca === "" && cert === "" && !skipCheck) {
      throw new UsageError(`${flag} requires ca=<ca> or cert=<cert>,key=<key> or insecure=true`);
    }
    const known = hosts.get(host) ?? { insecure: false, ca: [], keyPairs: [] };
    hosts.set(host, {
      insecure: known.insecure || skipCheck,
      ca: ca === "" ? known.ca : [...known.ca, ca],
      keyPairs: cert === "" ? known.keyPairs : [...known.keyPairs, { cert, key }],
    });
  }
  return hosts;
}
