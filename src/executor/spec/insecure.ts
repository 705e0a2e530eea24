import { closeSync, openSync, readdirSync } from "node:fs";
import type { OciDevice } from "./oci-spec.ts";

/** Devices an insecure step finds in /dev besides the usual ones (BuildKit util/entitlements/security/security_linux.go). */
export function insecureDevices(): OciDevice[] {
  const devices: OciDevice[] = [
    { path: "/dev/kmsg", type: "c", major: 1, minor: 11 },
    { path: "/dev/cuse", type: "c", major: 10, minor: 203 },
    { path: "/dev/fuse", type: "c", major: 10, minor: 229 },
    { path: "/dev/kvm", type: "c", major: 10, minor: 232 },
    { path: "/dev/net/tun", type: "c", major: 10, minor: 200 },
    { path: "/dev/loop-control", type: "c", major: 10, minor: 237 },
  ];
  for (let i = 0; i <= firstFreeLoop() + spareLoops; i++) {
    devices.push({ path: `/dev/loop${i}`, type: "b", major: 7, minor: i });
  }
  return devices;
}

const spareLoops = 7;

/** Loop devices with a backing file show it in sysfs; the first without one is free. Zero where there are none at all. */
function firstFreeLoop(): number {
  let blocks: Set<string>;
  try {
    blocks = new Set(readdirSync("/sys/block"));
  } catch {
    return 0;
  }
  for (let i = 0; ; i++) {
    if (!blocks.has(`loop${i}`)) return i;
    try {
      closeSync(openSync(`/sys/block/loop${i}/loop/backing_file`, "r"));
    } catch {
      return i;
    }
  }
}
