import assert from "node:assert/strict";
import { createPublicKey, verify } from "node:crypto";
import { mkdtemp, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { TokenAuthority } from "../../../src/client/session/index.ts";

/** DER of an ed25519 public key up to its 32 bytes. */
const spkiPrefix = Buffer.from("302a300506032b6570032100", "hex");

describe("TokenAuthority", () => {
  let directory = "";
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), "authority-"));
  });
  after(() => rm(directory, { recursive: true, force: true }));
  const salt = Buffer.from("salt");

  it("signs what its public key verifies, signature first", async () => {
    const key = await new TokenAuthority(directory).key("a.example", salt, true);
    const payload = Buffer.from("prove it");
    const signed = Buffer.from(key.sign(payload));
    assert.deepEqual(signed.subarray(64), payload);
    const publicKey = createPublicKey({
      key: Buffer.concat([spkiPrefix, key.publicKey]),
      format: "der",
      type: "spki",
    });
    assert.ok(verify(null, payload, publicKey, signed.subarray(0, 64)));
  });

  it("has the same key in the next process, another for each host and salt", async () => {
    const key = async (host: string, withSalt: Uint8Array) =>
      Buffer.from((await new TokenAuthority(directory).key(host, withSalt, true)).publicKey).toString("hex");
    const first = await key("a.example", salt);
    assert.equal(await key("a.example", salt), first);
    assert.notEqual(await key("b.example", salt), first);
    assert.notEqual(await key("a.example", Buffer.from("other")), first);
    const seeds = JSON.parse(await readFile(join(directory, ".token_seed"), "utf8"));
    assert.deepEqual(Object.keys(seeds), ["a.example", "b.example"]);
    assert.equal((await stat(join(directory, ".token_seed"))).mode & 0o777, 0o600);
  });

  it("has one key for everybody without a login", async () => {
    const one = await new TokenAuthority(join(directory, "x")).key("a.example", salt, false);
    const other = await new TokenAuthority(join(directory, "y")).key("b.example", salt, false);
    assert.deepEqual(one.publicKey, other.publicKey);
  });
});
