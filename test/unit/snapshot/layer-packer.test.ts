import assert from "node:assert/strict";
import {
  chownSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import {
  encodeTarHeader,
  type TarHeader,
  TarReader,
  TarType,
  tarHeader,
  tarTrailer,
} from "../../../src/archive/tar/index.ts";
import { LocalContentStore } from "../../../src/content/index.ts";
import { BuildError } from "../../../src/core/errors/build-error.ts";
import { Code } from "../../../src/core/errors/code.ts";
import type { Compression } from "../../../src/core/values/task.ts";
import { LayerPacker, LayerWorkers } from "../../../src/snapshot/index.ts";
import { byteString, getXattr, makeDevice, makeNode, setTimes, setXattr, toText } from "../../../src/util/sys/index.ts";

const workers = new LayerWorkers();
after(() => workers[Symbol.asyncDispose]());

const plain: Compression = { type: "uncompressed", force: false, ociMediaTypes: true };
const epoch = 1_500_000_000;
const capability = Buffer.from("0100000200040000000000000000000000000000", "hex");

class Area implements AsyncDisposable {
  readonly root: string;
  readonly store: LocalContentStore;
  readonly packer: LayerPacker;

  private constructor(root: string, store: LocalContentStore) {
    this.root = root;
    this.store = store;
    this.packer = new LayerPacker({ workers, store });
  }

  static async open(): Promise<Area> {
    const root = mkdtempSync(join(tmpdir(), "packer-"));
    return new Area(root, await LocalContentStore.open(join(root, "content")));
  }

  dir(name: string): string {
    mkdirSync(join(this.root, name));
    return join(this.root, name);
  }

  async names(layer: string): Promise<string[]> {
    const reader = new TarReader(this.packer.archive(layer, "oci"));
    const names: string[] = [];
    for (let entry = await reader.next(); entry; entry = await reader.next()) names.push(toText(entry.header.name));
    return names;
  }

  /** Applies an archive made of these entries to `to`. */
  async apply(to: string, entries: readonly Entry[], lowers: readonly string[] = []): Promise<void> {
    await this.packer.apply(archiveOf(entries), to, async () => lowers);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    rmSync(this.root, { recursive: true });
  }
}

type Entry = Partial<Omit<TarHeader, "name" | "linkname">> & {
  readonly name: string;
  readonly linkname?: string;
  readonly content?: string;
};

async function* archiveOf(entries: readonly Entry[]): AsyncGenerator<Uint8Array> {
  for (const { name, linkname = "", content = "", ...rest } of entries) {
    const type = rest.type ?? (name.endsWith("/") ? TarType.Directory : TarType.File);
    const size = Buffer.byteLength(content);
    yield encodeTarHeader(
      tarHeader({ mode: 0o755, size, ...rest, type, name: byteString(name), linkname: byteString(linkname) }),
    );
    yield Buffer.from(content.padEnd(Math.ceil(size / 512) * 512, "\0"));
  }
  yield tarTrailer;
}

describe("LayerPacker.pack()", () => {
  it("writes the bytes BuildKit writes: devices and a fifo", async () => {
    await using area = await Area.open();
    const layer = area.dir("layer");
    makeNode(join(layer, "p"), 0o010644, 0n);
    makeNode(join(layer, "c"), 0o020644, makeDevice(1, 3));
    makeNode(join(layer, "b"), 0o060644, makeDevice(7, 300));
    chownSync(join(layer, "p"), 5, 6);
    const { annotations } = await area.packer.pack(layer, { ...plain, rewriteTimestamp: epoch });
    assert.deepEqual(annotations, {
      "containerd.io/uncompressed": "sha256:2a652a5407ab8c5979c9b559a5d9f8af7796763fc8bea0aa5c22fb2341cd598a",
      "buildkit/rewritten-timestamp": "1500000000",
    });
  });

  it("writes the bytes BuildKit writes: owners at and beyond what ustar holds", async () => {
    await using area = await Area.open();
    const layer = area.dir("layer");
    const owners = { a: [65535, 65535], b: [2097151, 2097152], c: [4294967294, 4294967294] } as const;
    for (const [name, [uid, gid]] of Object.entries(owners)) {
      writeFileSync(join(layer, name), "");
      chownSync(join(layer, name), uid, gid);
    }
    const { annotations } = await area.packer.pack(layer, { ...plain, rewriteTimestamp: epoch });
    assert.equal(
      annotations?.["containerd.io/uncompressed"],
      "sha256:a973c0db1e17a9e767b22cf2f6c095e7507b6995d8d10d2c7f424d2d5c6ab9f8",
    );
  });

  it("gives the same bytes each time and the same diffID in every compression", async () => {
    await using area = await Area.open();
    const layer = area.dir("layer");
    for (let index = 0; index < 40; index++) writeFileSync(join(layer, `f${index}`), `${index} `.repeat(20_000));
    const types = [
      { type: "uncompressed", mediaType: "application/vnd.oci.image.layer.v1.tar" },
      { type: "gzip", mediaType: "application/vnd.oci.image.layer.v1.tar+gzip" },
      { type: "zstd", mediaType: "application/vnd.oci.image.layer.v1.tar+zstd" },
    ] as const;
    const diffIds = new Set<string | undefined>();
    for (const { type, mediaType } of types) {
      const first = await area.packer.pack(layer, { ...plain, type });
      const second = await area.packer.pack(layer, { ...plain, type });
      assert.deepEqual(first, second);
      assert.equal(first.mediaType, mediaType);
      diffIds.add(first.annotations?.["containerd.io/uncompressed"]);
      const again = await area.packer.repack(
        { bytes: area.store.read(first.digest), isEstargz: false },
        { ...plain, type: "gzip", level: 1 },
      );
      diffIds.add(again.annotations?.["containerd.io/uncompressed"]);
      const target = area.dir(`out-${type}`);
      diffIds.add(await area.packer.apply(area.store.read(first.digest), target, async () => []));
      assert.equal(readFileSync(join(target, "f39"), "utf8"), "39 ".repeat(20_000));
    }
    assert.equal(diffIds.size, 1);
  });

  it("ends every archive with its trailer, however many a thread has written", async () => {
    await using area = await Area.open();
    const layer = area.dir("layer");
    writeFileSync(join(layer, "file"), "content");
    for (let i = 0; i < 4; i++) {
      const { size } = await area.packer.pack(layer, plain);
      assert.equal(size, 512 + 512 + 1024);
    }
  });

  it("packs and repacks as estargz, with annotations that name the table of contents", async () => {
    await using area = await Area.open();
    const layer = area.dir("layer");
    writeFileSync(join(layer, "file"), "content");
    const packed = await area.packer.pack(layer, { ...plain, type: "estargz" });
    assert.equal(packed.mediaType, "application/vnd.oci.image.layer.v1.tar+gzip");
    assert.match(packed.annotations?.["containerd.io/snapshot/stargz/toc.digest"] ?? "", /^sha256:[0-9a-f]{64}$/);
    assert.ok(Number(packed.annotations?.["io.containers.estargz.uncompressed-size"]) > 512 + 512 + 1024);
    const { digest } = await area.packer.pack(layer, plain);
    const repacked = await area.packer.repack(
      { bytes: area.store.read(digest), isEstargz: false },
      { ...plain, type: "estargz" },
    );
    assert.deepEqual(repacked, packed);
    const back = await area.packer.repack({ bytes: area.store.read(packed.digest), isEstargz: true }, plain);
    assert.equal(back.digest, digest);
    const unpacked = area.dir("unpacked");
    const diffId = await area.packer.apply(area.store.read(packed.digest), unpacked, async () => []);
    assert.equal(diffId, packed.annotations?.["containerd.io/uncompressed"]);
    assert.deepEqual(readdirSync(unpacked), ["file"]);
  });

  it("gives its thread back when the reader goes away", async () => {
    await using area = await Area.open();
    const layer = area.dir("layer");
    writeFileSync(join(layer, "big"), Buffer.alloc(20_000_000));
    for (let round = 0; round < 5; round++) {
      for await (const _chunk of area.packer.archive(layer, "oci")) break;
    }
    assert.deepEqual(await area.names(layer), ["big"]);
  });

  it("stops when aborted", async () => {
    await using area = await Area.open();
    const reason = new Error("enough");
    const endless = async function* () {
      for (;;) yield new Uint8Array(65536);
    };
    const abort = new AbortController();
    const blob = endless();
    const work = area.packer.repack({ bytes: blob, isEstargz: false }, { ...plain, type: "gzip" }, abort.signal);
    abort.abort(reason);
    await assert.rejects(work, reason);
  });
});

describe("LayerPacker.apply()", () => {
  it("brings back the layer that was packed", async () => {
    await using area = await Area.open();
    const layer = area.dir("layer");
    const mtimeNs = 1_400_000_000_987_654_321n;
    mkdirSync(join(layer, "d"));
    writeFileSync(join(layer, "d/file"), "text");
    setXattr(join(layer, "d/file"), "security.capability", capability);
    setXattr(join(layer, "d/file"), "user.binary", Uint8Array.of(0, 10, 255));
    linkSync(join(layer, "d/file"), join(layer, "d/hard"));
    symlinkSync("../../etc/passwd", join(layer, "link"));
    makeNode(join(layer, "d/gone"), 0o020000, 0n);
    writeFileSync(Buffer.concat([Buffer.from(`${layer}/`), Buffer.from([0xff, 0xfe])]), "not utf-8");
    for (const path of ["d/file", "d", "link"]) setTimes(join(layer, path), { atimeNs: mtimeNs, mtimeNs });
    const target = area.dir("target");
    await area.packer.apply(area.packer.archive(layer, "exact"), target, async () => []);
    const stat = (path: string) => lstatSync(join(target, path), { bigint: true });
    assert.equal(stat("d/file").mtimeNs, mtimeNs);
    assert.equal(stat("d").mtimeNs, mtimeNs);
    assert.equal(stat("link").mtimeNs, mtimeNs);
    assert.equal(stat("d/hard").ino, stat("d/file").ino);
    assert.ok(stat("d/gone").isCharacterDevice());
    assert.deepEqual(Buffer.from(getXattr(join(target, "d/file"), "security.capability") ?? []), capability);
    assert.deepEqual(getXattr(join(target, "d/file"), "user.binary"), Uint8Array.of(0, 10, 255));
    assert.deepEqual(
      readdirSync(target, "buffer").map((name) => name.toString("hex")),
      readdirSync(layer, "buffer").map((name) => name.toString("hex")),
    );
    assert.deepEqual(await area.names(target), await area.names(layer));
  });

  it("writes whiteouts and opaque markers as it reads them", async () => {
    await using area = await Area.open();
    const layer = area.dir("layer");
    await area.apply(layer, [{ name: "d/" }, { name: "d/.wh.x" }, { name: "f", content: "f" }]);
    assert.deepEqual(await area.names(layer), ["d/", "d/.wh.x", "f"]);
    assert.ok(lstatSync(join(layer, "d/x")).isCharacterDevice());
  });

  it("turns an opaque directory into whiteouts for what it hides", async () => {
    await using area = await Area.open();
    const lower = area.dir("lower");
    mkdirSync(join(lower, "o/sub"), { recursive: true });
    writeFileSync(join(lower, "o/a"), "");
    writeFileSync(join(lower, "o/b"), "");
    for (const order of [
      ["o/", "o/.wh..wh..opq", "o/b"],
      ["o/", "o/b", "o/.wh..wh..opq"],
      [".wh.o", "o/", "o/b"],
      ["o/", "o/b", ".wh.o"],
    ]) {
      const layer = area.dir(`layer-${order.join("-").replaceAll("/", "")}`);
      await area.apply(
        layer,
        order.map((name) => ({ name })),
        [lower],
      );
      assert.deepEqual(await area.names(layer), ["o/", "o/.wh.a", "o/b", "o/.wh.sub"], order.join(" "));
    }
  });

  it("takes owner and mode of a parent the archive leaves out from the layers below", async () => {
    await using area = await Area.open();
    const lower = area.dir("lower");
    mkdirSync(join(lower, "d"), { mode: 0o700 });
    chownSync(join(lower, "d"), 7, 8);
    const layer = area.dir("layer");
    await area.apply(layer, [{ name: "d/new/f" }], [lower]);
    const { mode, uid, gid } = lstatSync(join(layer, "d"));
    assert.deepEqual([mode & 0o7777, uid, gid], [0o700, 7, 8]);
    assert.equal(lstatSync(join(layer, "d/new")).mode & 0o7777, 0o755);
  });

  it("copies the target of a hard link into a lower layer", async () => {
    await using area = await Area.open();
    const lower = area.dir("lower");
    writeFileSync(join(lower, "f"), "below");
    const layer = area.dir("layer");
    const type = TarType.HardLink;
    await area.apply(
      layer,
      [
        { name: "g", type, linkname: "f" },
        { name: "h", type, linkname: "g" },
      ],
      [lower],
    );
    assert.equal(readFileSync(join(layer, "g"), "utf8"), "below");
    assert.equal(lstatSync(join(layer, "h")).ino, lstatSync(join(layer, "g")).ino);
    assert.equal(existsSync(join(layer, "f")), false);
  });

  it("ignores trusted attributes", async () => {
    await using area = await Area.open();
    const layer = area.dir("layer");
    const pax = new Map([[byteString("SCHILY.xattr.trusted.overlay.opaque"), byteString("y")]]);
    await area.apply(layer, [{ name: "d/", pax, format: "pax" }]);
    assert.equal(getXattr(join(layer, "d"), "trusted.overlay.opaque"), undefined);
  });

  const { Symlink, HardLink, CharDevice } = TarType;
  const outside: readonly (readonly [string, readonly Entry[]])[] = [
    ["dots", [{ name: "../victim", content: "bad" }]],
    ["dots inside", [{ name: "a/../../victim", content: "bad" }]],
    ["an absolute name", [{ name: "/victim", content: "bad" }]],
    [
      "a link out",
      [
        { name: "l", type: Symlink, linkname: ".." },
        { name: "l/victim", content: "bad" },
      ],
    ],
    [
      "an absolute link",
      [
        { name: "l", type: Symlink, linkname: "/" },
        { name: "l/victim", content: "bad" },
      ],
    ],
    [
      "a link to the file itself",
      [
        { name: "v", type: Symlink, linkname: "../victim" },
        { name: "v", content: "bad" },
      ],
    ],
    ["whiteout through a link", [{ name: "l", type: Symlink, linkname: ".." }, { name: "l/.wh.victim" }]],
    [
      "a link over a whiteout",
      [{ name: ".wh.w" }, { name: "l", type: Symlink, linkname: "w/../.." }, { name: "l/victim", content: "bad" }],
    ],
  ];
  for (const [what, entries] of outside) {
    it(`stays inside: ${what}`, async () => {
      await using area = await Area.open();
      writeFileSync(join(area.root, "victim"), "unharmed");
      await area.apply(area.dir("layer"), entries);
      assert.equal(readFileSync(join(area.root, "victim"), "utf8"), "unharmed");
      assert.deepEqual(readdirSync(area.root).sort(), ["content", "layer", "victim"]);
    });
  }

  const refused: readonly (readonly [string, readonly Entry[]])[] = [
    ["hard link out", [{ name: "h", type: HardLink, linkname: "../victim" }]],
    ["hard link to what is not there", [{ name: "h", type: HardLink, linkname: "nothing" }]],
    ["hard link to a directory", [{ name: "d/" }, { name: "h", type: HardLink, linkname: "d" }]],
    ["hard link to the root", [{ name: "h", type: HardLink, linkname: "/" }]],
    ["whiteout of the parent", [{ name: "d/" }, { name: "d/.wh..." }]],
    ["whiteout without a name", [{ name: ".wh." }]],
    ["file as directory", [{ name: "f" }, { name: "f/g" }]],
    ["device as directory", [{ name: "f", type: CharDevice, devMajor: 1 }, { name: "f/g" }]],
    ["too long a name", [{ name: "n".repeat(300) }]],
    ["link loop", [{ name: "l", type: Symlink, linkname: "l" }, { name: "l/f" }]],
    ["unknown type", [{ name: "f", type: "V" }]],
  ];
  for (const [what, entries] of refused) {
    it(`refuses: ${what}`, async () => {
      await using area = await Area.open();
      writeFileSync(join(area.root, "victim"), "unharmed");
      await assert.rejects(
        area.apply(area.dir("layer"), entries),
        (error) =>
          error instanceof BuildError && error.code === Code.InvalidArgument && /^invalid layer/.test(error.message),
      );
      assert.equal(lstatSync(join(area.root, "victim")).nlink, 1);
    });
  }

  it("refuses more content than allowed", async () => {
    await using area = await Area.open();
    const packer = new LayerPacker({ workers, store: area.store, maxLayerBytes: 5 });
    const bytes = archiveOf([
      { name: "a", content: "123" },
      { name: "b", content: "456" },
    ]);
    await assert.rejects(
      packer.apply(bytes, area.dir("layer"), async () => []),
      /more than 5 bytes/,
    );
  });
});

describe("LayerPacker.compare()", () => {
  it("writes changes, deletions and their parents", async () => {
    await using area = await Area.open();
    const [lower, upper, target] = [area.dir("lower"), area.dir("upper"), area.dir("target")];
    for (const root of [lower, upper]) {
      mkdirSync(join(root, "d/e"), { recursive: true });
      mkdirSync(join(root, "same"));
      for (const file of ["d/e/f", "d/gone", "same/s"]) {
        writeFileSync(join(root, file), file);
        setTimes(join(root, file), { atimeNs: 0n, mtimeNs: 1_000_000_000n });
      }
    }
    writeFileSync(join(upper, "d/e/f"), "other");
    rmSync(join(upper, "d/gone"));
    writeFileSync(join(upper, "d/new"), "");
    linkSync(join(upper, "d/new"), join(upper, "d/new2"));
    await area.packer.compare([lower], [upper], target);
    assert.deepEqual(await area.names(target), ["d/", "d/e/", "d/e/f", "d/.wh.gone", "d/new", "d/new2"]);
    assert.equal(lstatSync(join(target, "d/new2")).nlink, 2);
    const everything = area.dir("everything");
    await area.packer.compare([], [upper], everything);
    assert.deepEqual(await area.names(everything), await area.names(upper));
  });
});
