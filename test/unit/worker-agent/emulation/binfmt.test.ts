import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { registeredArchitectures, registration } from "../../../../src/worker-agent/emulation/binfmt.ts";

describe("binfmt_misc", () => {
  let directory: string;
  before(() => {
    directory = mkdtempSync(join(tmpdir(), "binfmt-"));
  });
  after(() => rmSync(directory, { recursive: true }));

  const arm64 = { magic: "7f454c460201010000000000000000000200b700", mask: "ffffffffffffff00fffffffffffffffffeffffff" };
  const s390x = { magic: "7f454c4602020100000000000000000000020016", mask: "ffffffffffffff00fffffffffffffffffffeffff" };

  const entry = (name: string, { magic, mask }: typeof arm64, flags: string, state = "enabled") =>
    writeFileSync(
      join(directory, name),
      `${state}\ninterpreter /usr/bin/${name}\nflags: ${flags}\noffset 0\nmagic ${magic}\nmask ${mask}\n`,
    );

  it("knows what is registered by the header it is for, whatever its name", () => {
    assert.deepEqual(registeredArchitectures(join(directory, "missing")), new Set());
    writeFileSync(join(directory, "status"), "enabled\n");
    entry("rosetta", arm64, "POCF");
    entry("qemu-s390x", s390x, "OCF");
    writeFileSync(join(directory, "jar"), "enabled\ninterpreter /usr/bin/jexec\nflags: F\nextension .jar\n");
    assert.deepEqual(registeredArchitectures(directory), new Set(["arm64", "s390x"]));
  });

  it("does not count what is off, and what needs its interpreter in the container", () => {
    entry("rosetta", arm64, "POC");
    entry("qemu-s390x", s390x, "OCF", "disabled");
    assert.deepEqual(registeredArchitectures(directory), new Set());
  });

  it("registers for programs of both kinds, static and relocatable", () => {
    const hex = (text: string) => text.replaceAll(/../g, "\\x$&");
    assert.equal(
      registration("arm64", "/usr/bin/qemu"),
      `:buildfleet-arm64:M::${hex(arm64.magic)}:${hex(arm64.mask)}:/usr/bin/qemu:PCF`,
    );
    assert.match(registration("s390x", "/q"), new RegExp(`M::${hex(s390x.magic).replaceAll("\\", "\\\\")}:`));
  });
});
