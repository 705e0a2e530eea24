import assert from "node:assert/strict";
import {
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
import { describe, it } from "node:test";
import {
  bindReadOnly,
  byteString,
  byteStringFrom,
  deviceMajor,
  deviceMinor,
  errnoError,
  getXattr,
  hasErrno,
  listXattrs,
  makeDevice,
  makeNode,
  mountOverlay,
  mountsBelow,
  removeXattr,
  renameExactly,
  setTimes,
  setXattr,
  toBytes,
  toText,
  unmount,
  unmountQuietly,
} from "../../../src/util/sys/index.ts";

function withDir(use: (dir: string) => void): void {
  const dir = mkdtempSync(join(tmpdir(), "sys-"));
  try {
    use(dir);
  } finally {
    for (const point of mountsBelow(dir).reverse()) unmountQuietly(point);
    rmSync(dir, { recursive: true });
  }
}

describe("extended attributes", () => {
  it("hold any bytes", () =>
    withDir((dir) => {
      const file = join(dir, "f");
      writeFileSync(file, "");
      const value = Uint8Array.from({ length: 256 }, (_, index) => index);
      setXattr(file, "user.b", value);
      setXattr(file, "user.a", new Uint8Array(0));
      assert.deepEqual(getXattr(file, "user.b"), value);
      assert.deepEqual(getXattr(file, "user.a"), new Uint8Array(0));
      assert.deepEqual(listXattrs(file), ["user.a", "user.b"]);
      assert.equal(removeXattr(file, "user.b"), true);
      assert.equal(removeXattr(file, "user.b"), false);
      assert.equal(getXattr(file, "user.b"), undefined);
    }));

  it("are a link's own", () =>
    withDir((dir) => {
      writeFileSync(join(dir, "f"), "");
      symlinkSync("f", join(dir, "l"));
      setXattr(join(dir, "l"), "trusted.t", Uint8Array.of(1));
      assert.deepEqual(listXattrs(join(dir, "l")), ["trusted.t"]);
      assert.deepEqual(listXattrs(join(dir, "f")), []);
    }));
});

describe("errors", () => {
  it("carry code, call and path", () =>
    withDir((dir) => {
      const path = join(dir, "none");
      assert.throws(() => setXattr(path, "user.a", new Uint8Array(0)), { code: "ENOENT", syscall: "lsetxattr", path });
      assert.throws(() => unmount(dir), { code: "EINVAL" });
      assert.throws(() => getXattr(`${dir}\0x`, "user.a"), { code: "EINVAL" });
      assert.ok(hasErrno(errnoError("x", 2), "EPERM", "ENOENT"));
      assert.equal(hasErrno(new Error("other"), "ENOENT"), false);
    }));
});

describe("setTimes()", () => {
  it("sets nanoseconds, before 1970 too, on links themselves, and leaves what is not given", () =>
    withDir((dir) => {
      symlinkSync("nowhere", join(dir, "l"));
      for (const ns of [1_700_000_000_123_456_789n, -1n, -1_500_000_000n, 0n]) {
        setTimes(join(dir, "l"), { mtimeNs: ns });
        assert.equal(lstatSync(join(dir, "l"), { bigint: true }).mtimeNs, ns);
      }
      setTimes(join(dir, "l"), { atimeNs: 5n });
      const { atimeNs, mtimeNs } = lstatSync(join(dir, "l"), { bigint: true });
      assert.deepEqual([atimeNs, mtimeNs], [5n, 0n]);
    }));
});

describe("device nodes", () => {
  it("keep numbers of all sizes", () =>
    withDir((dir) => {
      for (const [index, [major, minor]] of [
        [0, 0],
        [1, 3],
        [7, 300],
        [4095, 1048575],
      ].entries()) {
        const device = makeDevice(major ?? 0, minor ?? 0);
        assert.deepEqual([deviceMajor(device), deviceMinor(device)], [major, minor]);
        makeNode(join(dir, String(index)), 0o020600, device);
        assert.equal(lstatSync(join(dir, String(index)), { bigint: true }).rdev, device);
      }
    }));
});

describe("renameExactly()", () => {
  it("does not replace, or swaps", () =>
    withDir((dir) => {
      const [a, b] = [join(dir, "a"), join(dir, "b")];
      writeFileSync(a, "a");
      writeFileSync(b, "b");
      assert.throws(() => renameExactly(a, b, "no-replace"), { code: "EEXIST" });
      renameExactly(a, b, "exchange");
      assert.equal(readFileSync(a, "utf8"), "b");
    }));
});

describe("byte strings", () => {
  it("keep any bytes", () => {
    const bytes = Uint8Array.from({ length: 256 }, (_, index) => index);
    assert.deepEqual(new Uint8Array(toBytes(byteStringFrom(bytes))), bytes);
    assert.equal(toText(byteString("größe €")), "größe €");
  });
});

describe("mounts", () => {
  it("stack more directories than one page of options holds", () =>
    withDir((dir) => {
      const lowers = Array.from({ length: 300 }, (_, index) => {
        const lower = join(dir, `a-directory-with-a-long-name-${index}`);
        mkdirSync(lower);
        writeFileSync(join(lower, `f${index}`), "");
        return lower;
      });
      const target = join(dir, "merged");
      const [upper, work] = [join(dir, "upper"), join(dir, "work")];
      for (const path of [target, upper, work]) mkdirSync(path);
      mountOverlay({ target, lowers, options: ["index=off"] });
      assert.equal(readdirSync(target).length, 300);
      assert.throws(() => writeFileSync(join(target, "x"), ""), { code: "EROFS" });
      unmount(target);
      mountOverlay({ target, lowers, writable: { upper, work }, options: ["index=off", "volatile"] });
      writeFileSync(join(target, "x"), "");
      assert.deepEqual(mountsBelow(dir), [target]);
      unmountQuietly(target);
      unmountQuietly(target);
      assert.deepEqual(readdirSync(upper), ["x"]);
      assert.throws(() => mountOverlay({ target, lowers: ["/a:b"], options: [] }), RangeError);
    }));

  it("bind read-only", () =>
    withDir((dir) => {
      const [from, to] = [join(dir, "from"), join(dir, "to with space")];
      mkdirSync(from);
      mkdirSync(to);
      writeFileSync(join(from, "f"), "x");
      bindReadOnly(from, to);
      assert.equal(readFileSync(join(to, "f"), "utf8"), "x");
      assert.throws(() => writeFileSync(join(to, "f"), ""), { code: "EROFS" });
      assert.deepEqual(mountsBelow(dir), [to]);
    }));
});
