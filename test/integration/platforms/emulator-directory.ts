import { execFileSync } from "node:child_process";

/** Has `qemu-aarch64-static` and `busybox-arm64`; `scripts/test.sh` sees to it. */
export const emulatorDirectory = process.env["BUILDFLEET_TEST_EMULATION"] ?? "";

/** Why emulation cannot be tested here, else `false`. */
export const emulationMissing = missing();

function missing(): string | false {
  if (process.arch !== "x64") return "needs an amd64 machine";
  if (emulatorDirectory === "") return "BUILDFLEET_TEST_EMULATION names no directory with an emulator";
  try {
    execFileSync("unshare", [
      "--user",
      "--mount",
      "--map-root-user",
      "mount",
      "-t",
      "binfmt_misc",
      "binfmt_misc",
      "/mnt",
    ]);
    return false;
  } catch {
    return "this kernel has no binfmt_misc for user namespaces (Linux 6.7)";
  }
}
