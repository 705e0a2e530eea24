import { chmod, copyFile, mkdir, symlink } from "node:fs/promises";
import { delimiter, join } from "node:path";

const applets = ["cat", "dd", "echo", "ls", "mkdir", "rm", "sh", "sleep", "true"];

/**
 * A root filesystem around the machine's static busybox, for steps to run in.
 * @throws Error where there is none (Debian: package busybox-static)
 */
export async function writeRootFilesystem(directory: string): Promise<void> {
  const bin = join(directory, "bin");
  for (const name of ["bin", "dev", "etc", "proc", "sys", "tmp"])
    await mkdir(join(directory, name), { recursive: true });
  await copyBusybox(join(bin, "busybox"));
  await chmod(join(bin, "busybox"), 0o755);
  for (const applet of applets) await symlink("busybox", join(bin, applet));
}

async function copyBusybox(target: string): Promise<void> {
  for (const folder of ["/bin", ...(process.env["PATH"] ?? "").split(delimiter)]) {
    try {
      await copyFile(join(folder, "busybox"), target);
      return;
    } catch {
      // Looked for in the next one.
    }
  }
  throw new Error("no busybox on this machine (Debian: apt install busybox-static)");
}
