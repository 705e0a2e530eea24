import { chownSync, copyFileSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const applets =
  `[ awk cat chmod cp dd echo env false grep head hostname id ip kill ln ls mkdir mknod mount mv nc nproc od ping printf ps pwd
readlink rm rmdir sh sleep sort stat tail tee test touch tr true ulimit umount unshare wc yes`.split(/\s+/);

/** Fills a directory with a small root filesystem around the machine's static busybox. */
export function makeBusyboxRootfs(directory: string): string {
  for (const path of ["bin", "etc", "home/alice"]) mkdirSync(join(directory, path), { recursive: true });
  copyFileSync("/bin/busybox", join(directory, "bin/busybox"));
  for (const applet of applets) symlinkSync("busybox", join(directory, "bin", applet));
  writeFileSync(
    join(directory, "etc/passwd"),
    "root:x:0:0:root:/root:/bin/sh\nalice:x:1000:1000::/home/alice:/bin/sh\nbob:x:1001:50::/:/bin/sh\n",
  );
  writeFileSync(join(directory, "etc/group"), "root:x:0:\nwheel:x:10:alice\nstaff:x:50:alice,bob\nalice:x:1000:\n");
  chownSync(join(directory, "home/alice"), 1000, 1000);
  return directory;
}
