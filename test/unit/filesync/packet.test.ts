import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { Packet, Stat } from "../../../src/api/gen/fsutil.ts";
import { decodePacket, decodeStat, encodeStat, PacketType } from "../../../src/filesync/index.ts";
import { encodeData, encodeError, encodeFin, encodeRequest, encodeStatPacket } from "../../../src/filesync/packet.ts";
import { textPath } from "../../../src/filesystem/index.ts";

const uint32 = fc.integer({ min: 0, max: 0xffff_ffff });
const bytes = fc.uint8Array({ maxLength: 300 });
/** With a namespace, as the kernel wants it; the generated codec's object has no room for a bare `__proto__`. */
const attributeName = fc.string({ unit: "grapheme-ascii" }).map((name) => `user.${name}`);
const stats = fc.record({
  path: fc.string({ unit: "grapheme" }),
  mode: uint32,
  uid: uint32,
  gid: uint32,
  size: fc.maxSafeNat(),
  modTime: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  linkname: fc.string({ unit: "grapheme" }),
  devmajor: fc.nat(),
  devminor: fc.nat(),
  xattrs: fc.dictionary(attributeName, bytes, { noNullPrototype: true }),
});

describe("fsutil packets", () => {
  it("agree with the generated codec on stats", () => {
    fc.assert(
      fc.property(stats, (stat) => {
        const decoded = decodeStat(Stat.encode(stat).finish());
        assert.equal(textPath(decoded.path), stat.path);
        assert.equal(textPath(decoded.linkname), stat.linkname);
        assert.deepEqual(
          [decoded.mode, decoded.uid, decoded.gid, decoded.size, decoded.modTime, decoded.devmajor, decoded.devminor],
          [stat.mode, stat.uid, stat.gid, stat.size, stat.modTime, stat.devmajor, stat.devminor],
        );
        const again = Stat.decode(encodeStat(decoded));
        assert.deepEqual({ ...again, xattrs: hex(again.xattrs) }, { ...stat, xattrs: hex(stat.xattrs) });
      }),
    );
  });

  it("agree with the generated codec on the other kinds", () => {
    fc.assert(
      fc.property(uint32, bytes, (id, data) => {
        assert.equal(decodePacket(Packet.encode(Packet.fromPartial({ type: 2, ID: id, data })).finish()).id, id);
        const packet = Packet.decode(encodeData(id, data));
        assert.deepEqual([packet.type, packet.ID, [...packet.data]], [PacketType.Data, id, [...data]]);
        assert.equal(Packet.decode(encodeRequest(id)).ID, id);
      }),
    );
    assert.equal(Packet.decode(encodeFin()).type, PacketType.Fin);
    assert.equal(Buffer.from(Packet.decode(encodeError("no ü")).data).toString(), "no ü");
    assert.equal(decodePacket(encodeStatPacket(undefined)).stat, undefined);
  });

  it("skip unknown fields and refuse what is cut off", () => {
    assert.equal(decodePacket(Uint8Array.of(8, 1, 0x72, 1, 9, 24, 7)).id, 7);
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (garbage) => {
        try {
          decodePacket(garbage);
        } catch (error) {
          assert.ok(error instanceof RangeError);
        }
      }),
    );
  });
});

function hex(xattrs: Readonly<Record<string, Uint8Array>>): Record<string, string> {
  return Object.fromEntries(Object.entries(xattrs).map(([name, value]) => [name, Buffer.from(value).toString("hex")]));
}
