import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import { csvFields } from "../../frontend/index.ts";

/** Which devices a build was granted. */
export interface DeviceGrants {
  readonly all: boolean;
  /** Requested name → the device that stands for it; empty for a name that stands for itself. */
  readonly names: ReadonlyMap<string, string>;
}

const plain = ["security.insecure", "network.host", "device"];

/** `device=vendor.com/class=name,alias=gpu` → `device`. @throws BuildError for an unknown one */
export function entitlementName(text: string): string {
  const name = text.startsWith("device=") ? "device" : text;
  if (!plain.includes(name)) throw unknown(`unknown entitlement ${name}`);
  return name;
}

/**
 * What the entitlements say of devices (BuildKit util/entitlements).
 * @returns undefined when they say nothing of any
 * @throws BuildError `invalid device config "x"`
 */
export function deviceGrants(entitlements: Iterable<string>): DeviceGrants | undefined {
  const names = new Map<string, string>();
  let all = false;
  for (const text of entitlements) {
    if (entitlementName(text) !== "device") continue;
    const config = text.slice("device=".length);
    if (config === "") all = true;
    else addDevice(config, names);
  }
  return all || names.size > 0 ? { all, names } : undefined;
}

function addDevice(config: string, names: Map<string, string>): void {
  const [device = "", ...fields] = csvFields(config);
  let alias = "";
  for (const field of fields) {
    const equals = field.indexOf("=");
    if (equals < 0) throw unknown(`invalid device config ${JSON.stringify(field)}`);
    const key = field.slice(0, equals);
    if (key !== "alias") throw unknown(`unknown device config key ${JSON.stringify(key)}`);
    alias = field.slice(equals + 1);
  }
  if (alias === "") names.set(device, "");
  else names.set(alias, device);
}

function unknown(message: string): BuildError {
  return new BuildError(Code.Unknown, message);
}
