import { BuildError } from "../errors/build-error.ts";
import { Code } from "../errors/code.ts";

/** A device that an agent can give to steps (Container Device Interface). */
export interface CdiDevice {
  /** `vendor.com/class=name` */
  readonly name: string;
  /** Steps may have it without being granted it. */
  readonly autoAllow: boolean;
  /** Of its spec and its own. */
  readonly annotations: Readonly<Record<string, string>>;
}

/** A step's wish: a name, `kind` for the first of the kind, `kind=*` for all, or a class (BuildKit cdidevices/manager.go). */
export interface DeviceRequest {
  readonly name: string;
  readonly optional: boolean;
}

const classAnnotation = "org.mobyproject.buildkit.device.class";

/**
 * Names of the devices that the requests stand for, each once.
 * @param devices of one agent, in order of name
 * @throws BuildError for one that there is not, unless it is optional
 */
export function findDevices(requests: readonly DeviceRequest[], devices: readonly CdiDevice[]): readonly string[] {
  const found = requests.flatMap((request) => {
    const names = matchingDevices(request.name, devices);
    if (names.length === 0 && !request.optional) {
      throw new BuildError(Code.Unknown, `required device ${JSON.stringify(request.name)} is not registered`);
    }
    return names;
  });
  return [...new Set(found)];
}

/**
 * The devices of the agent that can serve most of the requests.
 * @param agents devices of each, agents in a fixed order
 */
export function bestDevices(
  requests: readonly DeviceRequest[],
  agents: readonly (readonly CdiDevice[])[],
): readonly CdiDevice[] {
  const served = (devices: readonly CdiDevice[]) =>
    requests.filter(({ name }) => matchingDevices(name, devices).length > 0).length;
  return agents.reduce((best, devices) => (served(devices) > served(best) ? devices : best), agents[0] ?? []);
}

function matchingDevices(request: string, devices: readonly CdiDevice[]): readonly string[] {
  const [kind = "", ...rest] = request.split("=");
  const name = rest.join("=");
  const found = /^[^/]+\/./.test(kind) ? ofKind(kind, name, devices) : [];
  if (found.length > 0) return found;
  return devices.filter(({ annotations }) => annotations[classAnnotation] === request).map((device) => device.name);
}

function ofKind(kind: string, name: string, devices: readonly CdiDevice[]): readonly string[] {
  const all = devices.map((device) => device.name).filter((device) => device.startsWith(`${kind}=`));
  if (name === "") return all.slice(0, 1);
  return name === "*" ? all : all.filter((device) => device === `${kind}=${name}`);
}
