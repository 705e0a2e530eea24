import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { decodeArmor } from "../../../../src/source/signature/armor.ts";
import { type PgpPacket, readPackets } from "../../../../src/source/signature/pgp-packets.ts";
import { verifyPgpSignature } from "../../../../src/source/signature/verify-pgp.ts";

const fixture = (name: string) =>
  readFileSync(new URL(`../../../fixtures/signatures/${name}`, import.meta.url), "utf8");
const content = Buffer.from(fixture("content.txt"));

interface Check {
  readonly signature?: string;
  readonly keys?: string;
  readonly data?: readonly Uint8Array[];
  readonly rejectExpiredKeys?: boolean;
  readonly now?: number;
}

/** With the key and the signature of that name, unless told otherwise. */
function check(name: string, more: Check = {}): Promise<void> {
  const { signature = fixture(`${name}.sig.asc`), keys = fixture(`${name}.pub.asc`), data = [content] } = more;
  const { rejectExpiredKeys = true, now = Date.UTC(2027, 0) } = more;
  return verifyPgpSignature(data, signature, keys, { rejectExpiredKeys, now });
}

/** The same bytes with one of them changed. */
function spoiled(armored: string, at: number): string {
  const [, begin = "", base64 = "", end = ""] =
    /^(-+BEGIN .*\n\n)([\s\S]*?)\n=.*(\n-+END [\s\S]*)$/.exec(armored) ?? [];
  const bytes = Buffer.from(base64, "base64");
  bytes.writeUInt8(bytes.readUInt8(bytes.length - at) ^ 1, bytes.length - at);
  return begin + bytes.toString("base64") + end;
}

const blockOf = (text: string) => decodeArmor(text)[0]?.data ?? assert.fail("no block");

/** Packets as a key block. */
function armored(packets: readonly (PgpPacket | undefined)[]): string {
  const encoded = packets.map((packet) => {
    assert.ok(packet !== undefined);
    const header = Buffer.of(0xc0 | packet.tag, 0xff, 0, 0, 0, 0);
    header.writeUInt32BE(packet.body.length, 2);
    return Buffer.concat([header, packet.body]);
  });
  const base64 = Buffer.concat(encoded).toString("base64");
  return `-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n${base64}\n-----END PGP PUBLIC KEY BLOCK-----\n`;
}

describe("verifyPgpSignature()", () => {
  for (const name of ["rsa", "eddsa", "ecdsa"]) {
    it(`takes signatures of ${name} keys, and no others`, async () => {
      await check(name);
      await check(name, { data: [content.subarray(0, 3), content.subarray(3)] });
      await check(name, { keys: fixture("other.pub.asc") + fixture(`${name}.pub.asc`) });
      await check(name, { keys: fixture(`${name}.pub.asc`).replaceAll("\n", "\r\n") });
      await assert.rejects(check(name, { data: [Buffer.from("other")] }), /verification failure/);
      await assert.rejects(check(name, { keys: fixture("other.pub.asc") }), {
        message: /^signature by [0-9A-F]{16}: openpgp: signature made by unknown entity$/,
      });
      await assert.rejects(check(name, { signature: spoiled(fixture(`${name}.sig.asc`), 3) }), /openpgp: invalid/);
    });

    it(`finds any damage to ${name} keys out, or does not mind it`, async () => {
      const keys = fixture(`${name}.pub.asc`);
      for (let at = 1; at < 300; at += 3) {
        await check(name, { keys: spoiled(keys, at) }).catch((error: Error) => assert.equal(error.name, "BuildError"));
      }
    });
  }

  it("believes of a key only what its owner has signed", async () => {
    const [own, others] = ["rsa", "other"].map((name) => [...readPackets(blockOf(fixture(`${name}.pub.asc`)))]);
    assert.ok(own !== undefined && others !== undefined);
    const [primary, userId, selfSignature, subkey, binding] = own as PgpPacket[];
    const [otherPrimary, otherUserId, otherSelfSignature, otherSubkey, otherBinding] = others as PgpPacket[];
    await check("rsa", { keys: armored([primary, userId, selfSignature, subkey, binding]) });
    const unknown = /signature made by unknown entity/;
    for (const [packets, message] of [
      // Somebody else claims the subkey.
      [[otherPrimary, otherUserId, otherSelfSignature, subkey, binding], unknown],
      [[otherPrimary, otherUserId, otherSelfSignature, subkey, otherBinding], unknown],
      [[primary, userId, selfSignature, subkey], unknown],
      [[primary, userId, selfSignature, otherSubkey, binding], unknown],
      // Without a word of its owner there is no key.
      [[primary, otherUserId, selfSignature, subkey, binding], /no usable key found/],
      [[primary, userId, otherSelfSignature, subkey, binding], /no usable key found/],
      [[primary, subkey, binding], /no usable key found/],
      [[subkey, binding], /no usable key found/],
    ] as const) {
      await assert.rejects(check("rsa", { keys: armored(packets) }), message);
    }
  });

  it("minds that a key has expired, if told to", async () => {
    await check("expired", { rejectExpiredKeys: false });
    await check("expired", { now: Date.UTC(2020, 0, 1, 12) });
    await assert.rejects(check("expired"), /signature by [0-9A-F]{16}: openpgp: key expired/);
  });

  it("refuses revoked, short and weak", async () => {
    for (const rejectExpiredKeys of [true, false]) {
      await assert.rejects(check("revoked", { rejectExpiredKeys }), /openpgp: signature made by revoked key/);
      await assert.rejects(check("short", { rejectExpiredKeys }), /RSA key too short: 1024 bits/);
      await assert.rejects(check("rsa", { rejectExpiredKeys, signature: fixture("sha1.sig.asc") }), {
        message: "rejecting weak/unknown hash",
      });
    }
  });

  it("refuses signatures of the future", async () => {
    await assert.rejects(check("rsa", { rejectExpiredKeys: false, now: Date.UTC(2020, 0, 1) }), {
      message: /^signature creation time is in the future/,
    });
  });

  it("says what it could not read", async () => {
    const key = fixture("rsa.pub.asc");
    for (const [more, message] of [
      [{ signature: "none" }, "failed to decode armored signature: EOF"],
      [{ keys: fixture("ssh-rsa.pub") }, "failed to read armored public key: no armored data found"],
      [{ keys: fixture("rsa.sig.asc") }, "expected public or private key block, got: PGP SIGNATURE"],
      [
        { keys: `${key.slice(0, 200)}\n-----END PGP PUBLIC KEY BLOCK-----` },
        "failed to read armored public key: unexpected EOF",
      ],
      [
        { signature: "-----BEGIN PGP SIGNATURE-----\n\n!\n-----END PGP SIGNATURE-----" },
        "invalid base64 in PGP SIGNATURE",
      ],
    ] as const) {
      await assert.rejects(check("rsa", more), { message });
    }
    await assert.rejects(check("rsa", { keys: "-----BEGIN A-----\n".repeat(200_000) }), /no armored data found/);
  });
});
