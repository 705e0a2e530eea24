import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import {
  type GitSignatureOptions,
  type NamedObject,
  verifyGitSignature as verify,
} from "../../../../src/source/git/git-signature.ts";

const fixture = (name: string) => readFileSync(new URL(`../../../fixtures/signatures/${name}`, import.meta.url));

/** At a time when the keys were there. */
const verifyGitSignature = (commit: NamedObject, tag: NamedObject | undefined, options: GitSignatureOptions) =>
  verify(commit, tag, options, Date.UTC(2027, 0));

function named(type: "commit" | "tag", raw: Buffer = fixture(`${type}.txt`)): NamedObject {
  return { name: createHash("sha1").update(`${type} ${raw.length}\0`).update(raw).digest("hex"), raw };
}

const edited = (type: "commit" | "tag", from: string | RegExp, to: string) =>
  named(type, Buffer.from(fixture(`${type}.txt`).toString("latin1").replace(from, to), "latin1"));

const by = (key: "rsa" | "eddsa", more: Partial<GitSignatureOptions> = {}): GitSignatureOptions => ({
  publicKey: fixture(`${key}.pub.asc`).toString(),
  rejectExpired: true,
  requireSignedTag: false,
  ignoreSignedTag: false,
  ...more,
});

describe("verifyGitSignature()", () => {
  const [commit, tag] = [named("commit"), named("tag")];

  it("takes the tag's signature, or else the commit's", async () => {
    await verifyGitSignature(commit, tag, by("eddsa"));
    await verifyGitSignature(commit, tag, by("rsa"));
    await verifyGitSignature(commit, undefined, by("rsa"));
    await assert.rejects(verifyGitSignature(commit, undefined, by("eddsa")), /unknown entity/);
  });

  it("takes only the one that is wanted", async () => {
    const [required, ignored] = [{ requireSignedTag: true }, { ignoreSignedTag: true }];
    await verifyGitSignature(commit, tag, by("eddsa", required));
    await verifyGitSignature(commit, tag, by("rsa", ignored));
    await assert.rejects(verifyGitSignature(commit, tag, by("rsa", required)), /unknown entity/);
    await assert.rejects(verifyGitSignature(commit, tag, by("eddsa", ignored)), /unknown entity/);
    await assert.rejects(verifyGitSignature(commit, undefined, by("rsa", required)), {
      message: "signed tag required but no signed tag found",
    });
  });

  it("notices that something has changed", async () => {
    await assert.rejects(verifyGitSignature(edited("commit", "Umlaut", "umlaut"), undefined, by("rsa")), /failure/);
    await assert.rejects(verifyGitSignature(edited("commit", /^tree ./, "tree 0"), undefined, by("rsa")), /failure/);
    await assert.rejects(
      verifyGitSignature(commit, edited("tag", "a tag", "my tag"), by("eddsa", { requireSignedTag: true })),
      /failure/,
    );
    await assert.rejects(verifyGitSignature({ ...commit, raw: named("tag").raw }, undefined, by("rsa")), {
      message: /^commit object checksum verification failed: expected \w{40}, got \w{40}$/,
    });
  });

  it("wants a signature", async () => {
    const unsigned = edited("commit", /^gpgsig .*\n(?: .*\n)*/m, "");
    await assert.rejects(verifyGitSignature(unsigned, undefined, by("rsa")), { message: "git object is not signed" });
    const strange = edited("commit", "BEGIN PGP SIGNATURE", "BEGIN PGP MESSAGE");
    await assert.rejects(verifyGitSignature(strange, undefined, by("rsa")), { message: "invalid signature format" });
    await assert.rejects(verifyGitSignature(edited("commit", "author", "writer"), undefined, by("rsa")), {
      message: "invalid commit object: missing author header",
    });
  });
});
