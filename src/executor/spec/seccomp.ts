import type { OciSeccomp, OciSyscallRule } from "./oci-spec.ts";
import {
  allowedSyscalls,
  seccompArchitectures,
  syscallsByArchitecture,
  syscallsByCapability,
} from "./seccomp-profile.ts";

const allow = "SCMP_ACT_ALLOW";

/** AF_VSOCK and AF_ALG: reachable from a container, and not namespaced. */
const afAlg = 38;
const afVsock = 40;

/** Flags of clone(2) that make namespaces. */
const cloneNewMask = 0x7e020000;

/** personality(2) values that only choose a machine flavour; the last asks without changing. */
const harmlessPersonalities = [0x0, 0x8, 0x20000, 0x20008, 0xffffffff];

const enosys = 38;

/**
 * The default profile for a process with these capabilities in its bounding set.
 * @param architecture in Go's spelling
 */
export function defaultSeccomp(capabilities: readonly string[], architecture: string): OciSeccomp {
  const can = new Set(capabilities);
  const rules: OciSyscallRule[] = [
    { names: allowedSyscalls, action: allow },
    // Kernels before 4.8 let a traced process change a call after it was checked; those have no overlayfs we could use either.
    { names: ["process_vm_readv", "process_vm_writev", "ptrace"], action: allow },
    // Compared one by one, since libseccomp cannot say "none of".
    { names: ["socket"], action: allow, args: [{ index: 0, value: afAlg, op: "SCMP_CMP_LT" }] },
    { names: ["socket"], action: allow, args: [{ index: 0, value: afAlg + 1, op: "SCMP_CMP_EQ" }] },
    { names: ["socket"], action: allow, args: [{ index: 0, value: afVsock, op: "SCMP_CMP_GT" }] },
    ...harmlessPersonalities.map((value) => ({
      names: ["personality"],
      action: allow,
      args: [{ index: 0, value, op: "SCMP_CMP_EQ" }],
    })),
  ];
  const ofArchitecture = syscallsByArchitecture[architecture];
  if (ofArchitecture !== undefined) rules.push({ names: ofArchitecture, action: allow });
  for (const [capability, names] of Object.entries(syscallsByCapability)) {
    if (can.has(capability)) rules.push({ names, action: allow });
  }
  if (!can.has("CAP_SYS_ADMIN")) {
    const flags = architecture === "s390x" ? 1 : 0;
    rules.push(
      {
        names: ["clone"],
        action: allow,
        args: [{ index: flags, value: cloneNewMask, valueTwo: 0, op: "SCMP_CMP_MASKED_EQ" }],
      },
      // Its flags lie in memory where a filter cannot look; libc then falls back to clone.
      { names: ["clone3"], action: "SCMP_ACT_ERRNO", errnoRet: enosys },
    );
  }
  return {
    defaultAction: "SCMP_ACT_ERRNO",
    defaultErrnoRet: 1,
    architectures: seccompArchitectures[architecture] ?? [],
    syscalls: rules,
  };
}
