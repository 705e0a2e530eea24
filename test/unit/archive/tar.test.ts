import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  closeSync,
  createReadStream,
  ftruncateSync,
  mkdtempSync,
  openSync,
  rmSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import fc from "fast-check";
import {
  encodeTarHeader,
  paddingBytes,
  rewriteTarTimes,
  TarError,
  type TarHeader,
  TarReader,
  TarType,
  tarHeader,
  tarTrailer,
  xattrsOf,
} from "../../../src/archive/tar/index.ts";
import { type ByteString, byteString, byteStringFrom } from "../../../src/util/sys/index.ts";

interface ReadEntry {
  readonly header: TarHeader;
  readonly content: Buffer;
}

async function readAll(bytes: AsyncIterable<Uint8Array>): Promise<ReadEntry[]> {
  const reader = new TarReader(bytes);
  const entries: ReadEntry[] = [];
  for (let entry = await reader.next(); entry !== undefined; entry = await reader.next()) {
    const chunks: Uint8Array[] = [];
    for await (const chunk of entry.content()) chunks.push(chunk);
    entries.push({ header: entry.header, content: Buffer.concat(chunks) });
  }
  return entries;
}

function archive(entries: readonly { readonly header: TarHeader; readonly content?: string }[]): Buffer {
  const parts = entries.map(({ header, content = "" }) =>
    Buffer.concat([encodeTarHeader(header), Buffer.from(content), Buffer.alloc(paddingBytes(content.length))]),
  );
  return Buffer.concat([...parts, tarTrailer]);
}

/** In chunks of odd sizes. */
async function* pieces(bytes: Uint8Array, size = 333): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function collect(bytes: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of bytes) chunks.push(chunk);
  return Buffer.concat(chunks);
}

const name = byteString("f");
const field = (block: Uint8Array, at: number, length: number) => byteStringFrom(block.subarray(at, at + length));

describe("encodeTarHeader()", () => {
  it("uses plain ustar for what fits", () => {
    const block = encodeTarHeader(
      tarHeader({ name, type: TarType.File, mode: 0o644, size: 5, mtimeNs: 1_500_000_000n * 1_000_000_000n }),
    );
    assert.equal(block.length, 512);
    assert.equal(field(block, 100, 8), "0000644\0");
    assert.equal(field(block, 124, 12), "00000000005\0");
    assert.equal(field(block, 136, 12), "13132027400\0");
    assert.equal(field(block, 257, 8), "ustar\x0000");
    assert.equal(field(block, 329, 8), "0000000\0");
  });

  it("splits a long name at a slash, and names its extended header after it when it cannot", () => {
    const long = byteString(`${"d".repeat(90)}/${"f".repeat(60)}`);
    const split = encodeTarHeader(tarHeader({ name: long, type: TarType.File }));
    assert.equal(split.length, 512);
    assert.equal(field(split, 0, 61), `${"f".repeat(60)}\0`);
    assert.equal(field(split, 345, 91), `${"d".repeat(90)}\0`);
    const whole = encodeTarHeader(tarHeader({ name: byteString(`a/${"N".repeat(120)}`), type: TarType.File }));
    assert.equal(whole.length, 3 * 512);
    assert.equal(field(whole, 0, 100), `a/PaxHeaders.0/${"N".repeat(85)}`);
    assert.equal(field(whole, 512, 5), "132 p");
  });

  it("writes records sorted by key and names a directory's extended header inside it", () => {
    const pax = new Map([
      [byteString("SCHILY.xattr.user.b"), "\xff\0" as ByteString],
      [byteString("SCHILY.xattr.user.a"), byteString("1")],
    ]);
    const header = tarHeader({ name: byteString("dir/"), type: TarType.Directory, gid: 3_000_000, pax, format: "pax" });
    const blocks = encodeTarHeader(header);
    assert.equal(field(blocks, 0, 18), "dir/PaxHeaders.0\0\0");
    assert.equal(
      field(blocks, 512, 80).replace(/\0+$/, ""),
      "25 SCHILY.xattr.user.a=1\n26 SCHILY.xattr.user.b=\xff\0\n15 gid=3000000\n",
    );
  });

  it("drops what is not ASCII from fields that PAX repeats", () => {
    const blocks = encodeTarHeader(tarHeader({ name: byteString("a/ünï"), type: TarType.File, format: "pax" }));
    assert.equal(field(blocks, 0, 17), "a/PaxHeaders.0/n\0");
    assert.equal(field(blocks, 1024, 4), "a/n\0");
  });

  it("rounds times unless the form is chosen", () => {
    const at = (format: TarHeader["format"]) =>
      encodeTarHeader(tarHeader({ name, type: TarType.File, mtimeNs: 1_700_000_000n, format }));
    assert.equal(field(at("auto"), 136, 12), "00000000002\0");
    assert.equal(field(at("pax"), 512, 13), "13 mtime=1.7\n");
  });

  it("refuses what no form holds", () => {
    assert.throws(() => encodeTarHeader(tarHeader({ name: byteString("a\0b"), type: TarType.File })), TarError);
    assert.throws(() => encodeTarHeader(tarHeader({ name: byteString("a/"), type: TarType.File })), TarError);
  });
});

describe("TarReader", () => {
  it("reads back any header that was written", () =>
    fc.assert(
      fc.asyncProperty(
        fc.record({
          name: fc
            .uint8Array({ minLength: 1, maxLength: 300 })
            .map((bytes) => byteStringFrom(bytes.map((byte) => (byte === 0 || byte === 47 ? 65 : byte)))),
          linkname: fc.uint8Array({ maxLength: 200 }).map((bytes) => byteStringFrom(bytes.map((byte) => byte || 66))),
          type: fc.constantFrom("0", "1", "2", "3", "4", "6"),
          mode: fc.integer({ min: 0, max: 0o7777 }),
          uid: fc.integer({ min: 0, max: 2 ** 32 - 2 }),
          gid: fc.integer({ min: 0, max: 2 ** 32 - 2 }),
          mtimeNs: fc.bigInt({ min: -(10n ** 19n), max: 10n ** 20n }),
          devMajor: fc.integer({ min: 0, max: 0o7777777 }),
          devMinor: fc.integer({ min: 0, max: 0o7777777 }),
          value: fc.uint8Array({ minLength: 1, maxLength: 50 }).map(byteStringFrom),
        }),
        async ({ value, ...fields }) => {
          const header = tarHeader({
            ...fields,
            pax: new Map([[byteString("SCHILY.xattr.user.x"), value]]),
            format: "pax",
          });
          const [read] = await readAll(pieces(archive([{ header }])));
          assert.deepEqual({ ...read?.header, pax: undefined }, { ...header, pax: undefined });
          assert.deepEqual(read === undefined ? undefined : xattrsOf(read.header), new Map([["user.x", value]]));
        },
      ),
      { numRuns: 200 },
    ));

  it("reads what GNU tar writes, sparse files expanded", async () => {
    const root = mkdtempSync(join(tmpdir(), "tar-"));
    try {
      const fd = openSync(join(root, "sparse"), "w");
      for (let index = 0; index < 30; index++) writeSync(fd, `part ${index}`, index * 200_000);
      ftruncateSync(fd, 7_000_000);
      closeSync(fd);
      const long = `${"x".repeat(150)}`;
      writeFileSync(join(root, long), "long");
      const expected = execFileSync("cat", ["sparse"], { cwd: root, maxBuffer: 1 << 24 });
      for (const form of [
        ["--format=gnu"],
        ["--format=posix", "--sparse-version=0.0"],
        ["--format=posix", "--sparse-version=0.1"],
        ["--format=posix", "--sparse-version=1.0"],
      ]) {
        const out = join(root, "out.tar");
        execFileSync("tar", ["-S", ...form, "--mtime=@1000000000", "-cf", out, "sparse", long], { cwd: root });
        const entries = await readAll(createReadStream(out, { highWaterMark: 1000 }));
        assert.deepEqual(
          entries.map(({ header }) => [header.name, header.size, header.mtimeNs]),
          [
            ["sparse", 7_000_000, 10n ** 18n],
            [long, 4, 10n ** 18n],
          ],
          form.join(" "),
        );
        assert.ok(entries[0]?.content.equals(expected), form.join(" "));
      }
    } finally {
      rmSync(root, { recursive: true });
    }
  });

  it("reads numbers in base 256", async () => {
    const header = tarHeader({ name, type: TarType.Fifo, uid: 4_000_000_000, mtimeNs: -5_000_000_000n, format: "gnu" });
    const [entry] = await readAll(pieces(archive([{ header }])));
    assert.equal(entry?.header.uid, 4_000_000_000);
    assert.equal(entry?.header.mtimeNs, -5_000_000_000n);
  });

  it("skips content nobody reads", async () => {
    const file = (text: string) => ({
      header: tarHeader({ name: byteString(text), type: TarType.File, size: 1000 }),
      content: "x".repeat(1000),
    });
    const reader = new TarReader(pieces(archive([file("a"), file("b"), file("c")])));
    const names: string[] = [];
    for (let entry = await reader.next(); entry !== undefined; entry = await reader.next()) {
      names.push(entry.header.name);
      for await (const _chunk of entry.content()) break;
    }
    assert.deepEqual(names, ["a", "b", "c"]);
  });

  it("ends with the stream as with zero blocks", async () => {
    assert.deepEqual(await readAll(pieces(new Uint8Array(0))), []);
    assert.deepEqual(await readAll(pieces(new Uint8Array(512))), []);
    assert.deepEqual(await readAll(pieces(new Uint8Array(10240))), []);
  });

  const good = archive([{ header: tarHeader({ name, type: TarType.File, size: 3 }), content: "abc" }]);
  const paxOf = (records: string) => {
    const block = Buffer.from(encodeTarHeader(tarHeader({ name, type: TarType.File, size: records.length })));
    block[156] = "x".charCodeAt(0);
    return withChecksum(block, Buffer.from(records.padEnd(512, "\0")), good);
  };
  const damaged: Record<string, Uint8Array> = {
    "a wrong checksum": Buffer.concat([Buffer.from("g"), good.subarray(1)]),
    "an end within a header": good.subarray(0, 100),
    "an end within content": good.subarray(0, 513),
    "a lone zero block": Buffer.concat([new Uint8Array(512), good]),
    "a record without length": paxOf("path=x\n"),
    "a record longer than its header": paxOf("99 path=x\n"),
    "a record of no key": paxOf("6 =xy\n"),
    "a name with NUL": paxOf("11 path=\0x\n"),
    "a size that is no number": paxOf("12 size=12x\n"),
    "a negative size": paxOf("11 size=-5\n"),
    "a file too large": paxOf("26 size=9000000000000000\n"),
    "a sparse map out of order": paxOf("20 GNU.sparse.major=0\n20 GNU.sparse.minor=1\n26 GNU.sparse.map=2,1,0,2\n"),
  };
  for (const [what, bytes] of Object.entries(damaged)) {
    it(`refuses ${what}`, () => assert.rejects(readAll(pieces(bytes)), TarError));
  }

  it("never fails but with TarError, and never hangs, whatever the bytes", () =>
    fc.assert(
      fc.asyncProperty(fc.nat(good.length - 1), fc.uint8Array({ minLength: 1, maxLength: 40 }), async (at, junk) => {
        const bytes = Buffer.from(good);
        bytes.set(junk.subarray(0, bytes.length - at), at);
        const block = withChecksum(bytes.subarray(0, 512), bytes.subarray(512));
        await readAll(pieces(block)).catch((error) => assert.ok(error instanceof TarError, String(error)));
      }),
      { numRuns: 300 },
    ));
});

describe("rewriteTarTimes()", () => {
  it("sets later times to the epoch and changes nothing else", async () => {
    const pax = new Map([[byteString("SCHILY.xattr.user.x"), byteString("v")]]);
    const make = (late: bigint) => [
      {
        header: tarHeader({ name: byteString("old"), type: TarType.File, size: 3, mtimeNs: 1_000_000_000n }),
        content: "abc",
      },
      {
        header: tarHeader({
          name: byteString("new"),
          type: TarType.File,
          size: 2,
          mtimeNs: late,
          pax,
          format: "pax" as const,
        }),
        content: "de",
      },
      { header: tarHeader({ name: byteString("d/"), type: TarType.Directory, mtimeNs: late }) },
    ];
    const rewritten = await collect(rewriteTarTimes(pieces(archive(make(9_500_000_000n))), 5));
    assert.deepEqual(rewritten, archive(make(5_000_000_000n)));
  });
});

function withChecksum(block: Uint8Array, ...rest: readonly Uint8Array[]): Buffer {
  const bytes = Buffer.from(block);
  bytes.fill(0x20, 148, 156);
  const sum = bytes.reduce((total, byte) => total + byte, 0);
  bytes.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
  return Buffer.concat([bytes, ...rest]);
}
