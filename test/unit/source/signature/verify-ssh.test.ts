import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { verifySshSignature } from "../../../../src/source/signature/verify-ssh.ts";

const fixture = (name: string) =>
  readFileSync(new URL(`../../../fixtures/signatures/${name}`, import.meta.url), "utf8");
const content = Buffer.from(fixture("content.txt"));

const check = (name: string, more: { key?: string; signature?: string; data?: Uint8Array } = {}) => {
  const { key = fixture(`ssh-${name}.pub`), signature = fixture(`ssh-${name}.sig`), data = content } = more;
  verifySshSignature(data, signature, key, "git");
};

describe("verifySshSignature()", () => {
  for (const name of ["ed25519", "rsa", "ecdsa"]) {
    it(`takes signatures of ${name} keys, and no others`, () => {
      check(name);
      check(name, { key: `# a comment\nnamespaces="git" ${fixture(`ssh-${name}.pub`)}` });
      assert.throws(() => check(name, { data: Buffer.from("other") }), {
        message: "failed to verify ssh signature: signature did not verify",
      });
      const other = name === "rsa" ? "ecdsa" : "rsa";
      assert.throws(() => check(name, { key: fixture(`ssh-${other}.pub`) }), /public key does not match/);
    });
  }

  it("refuses signatures made for something else", () => {
    assert.throws(() => check("ed25519", { signature: fixture("ssh-other-namespace.sig") }), {
      message: 'unexpected SSH signature namespace: "file"',
    });
  });

  it("says what it could not read", () => {
    for (const [more, message] of [
      [{ key: fixture("rsa.pub.asc") }, "failed to parse ssh public key: ssh: no key found"],
      [{ signature: fixture("rsa.sig.asc") }, "failed to decode ssh signature PEM block"],
      [
        { signature: "-----BEGIN SSH SIGNATURE-----\nU1NIU0lH\n-----END SSH SIGNATURE-----" },
        "failed to parse ssh signature: unexpected EOF",
      ],
    ] as const) {
      assert.throws(() => check("ed25519", more), { message });
    }
  });
});
