import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdir, mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { useOwnTemporaryDirectory } from "../../../src/cli/daemon/own-temporary-directory.ts";
import { notifySystemd } from "../../../src/cli/daemon/sd-notify.ts";
import { StateLock } from "../../../src/cli/daemon/state-lock.ts";

let directory = "";
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "daemon-"));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

describe("StateLock", () => {
  it("is held by one process, until it is released", () => {
    const path = join(directory, "state");
    {
      using _lock = StateLock.take(path);
      // The lock belongs to the open file, so a second one in this process is like another process.
      assert.throws(() => StateLock.take(path), new RegExp(`state is in use by another process \\(${process.pid}\\)`));
    }
    StateLock.take(path)[Symbol.dispose]();
  });
});

describe("useOwnTemporaryDirectory()", () => {
  const before = process.env["TMPDIR"];
  afterEach(() => {
    if (before === undefined) delete process.env["TMPDIR"];
    else process.env["TMPDIR"] = before;
  });

  it("empties what a killed process left", async () => {
    await mkdir(join(directory, "tmp", "left"), { recursive: true });
    await useOwnTemporaryDirectory(directory);
    assert.equal(tmpdir(), join(directory, "tmp"));
    assert.deepEqual(await readdir(tmpdir()), []);
  });

  it("leaves things as they are where sockets would have too long a path", async () => {
    await useOwnTemporaryDirectory(join(directory, "d".repeat(80)));
    assert.equal(process.env["TMPDIR"], before);
  });
});

describe("notifySystemd()", () => {
  it("does nothing without systemd", () => {
    notifySystemd("READY=1", {});
  });

  it("reports a socket that is not there", () => {
    const NOTIFY_SOCKET = join(directory, "none");
    assert.throws(() => notifySystemd("READY=1", { NOTIFY_SOCKET }), { code: "ENOENT", syscall: "sendto" });
  });

  it("sends the state as a datagram", { skip: !hasPython() && "needs python3 for a datagram socket" }, () => {
    const NOTIFY_SOCKET = join(directory, "notify");
    const module = join(import.meta.dirname, "../../../src/cli/daemon/sd-notify.ts");
    const program = `
import os, socket, subprocess, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
s.settimeout(30)
code = "import { notifySystemd } from '" + sys.argv[3] + "'; notifySystemd('READY=1');"
subprocess.run([sys.argv[2], "--input-type=module", "-e", code], check=True, env={**os.environ, "NOTIFY_SOCKET": sys.argv[1]})
print(s.recv(100).decode())
`;
    const output = execFileSync("python3", ["-c", program, NOTIFY_SOCKET, process.execPath, module]);
    assert.equal(output.toString().trim(), "READY=1");
  });
});

function hasPython(): boolean {
  try {
    execFileSync("python3", ["--version"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}
