import type { CDIDevice, Op } from "../../api/gen/ops.ts";
import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import { bestDevices, type CdiDevice, findDevices } from "../../core/values/cdi-device.ts";
import { requiredEntitlements } from "../../llb/definition/index.ts";
import { type DeviceGrants, deviceGrants } from "./entitlement.ts";

/**
 * Whether an op may do what it asks for (BuildKit solver/llbsolver/vertex.go ValidateEntitlements). Unless all devices were
 * granted, its requests for devices are replaced by the devices they stand for.
 * @param op changed in place
 * @param granted entitlements
 * @param agents devices of each
 * @throws BuildError `network.host is not allowed`
 */
export function checkEntitlements(
  op: Op,
  granted: ReadonlySet<string>,
  agents: () => readonly (readonly CdiDevice[])[],
): void {
  for (const entitlement of requiredEntitlements(op)) {
    if (!granted.has(entitlement)) throw new BuildError(Code.Unknown, `${entitlement} is not allowed`);
  }
  if (op.op?.$case !== "exec" || op.op.value.cdiDevices.length === 0) return;
  const grants = deviceGrants(granted);
  if (grants?.all) return;
  op.op.value.cdiDevices = allowedDevices(op.op.value.cdiDevices, grants, agents());
}

function allowedDevices(
  requests: readonly CDIDevice[],
  grants: DeviceGrants | undefined,
  agents: readonly (readonly CdiDevice[])[],
): CDIDevice[] {
  const aliased = (name: string) => grants?.names.get(name) || undefined;
  const allowed = requests.flatMap(({ name, optional }) => {
    const device = aliased(name);
    return device === undefined ? [] : [{ name: device, optional }];
  });
  const others = requests.filter(({ name }) => aliased(name) === undefined);
  const devices = bestDevices(others, agents);
  const found = findDevices(others, devices);
  if (found.length === 0) return allowed;
  const grantRequests = [...(grants?.names ?? [])].flatMap(([name, device]) =>
    device === "" ? [{ name, optional: false }] : [],
  );
  const grantedNames = new Set(findDevices(grantRequests, devices));
  const mayUse = (name: string) =>
    grantedNames.has(name) || devices.some((device) => device.name === name && device.autoAllow);
  const forbidden = found.filter((name) => !mayUse(name));
  if (forbidden.length > 0) {
    const what = forbidden.length === 1 ? `device ${forbidden[0]} is` : `devices ${forbidden.join(", ")} are`;
    throw new BuildError(Code.Unknown, `${what} requested by the build but not allowed`);
  }
  return [...allowed, ...found.map((name) => ({ name, optional: false }))];
}
