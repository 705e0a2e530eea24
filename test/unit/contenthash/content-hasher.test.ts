import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { ContentHasher, compareListings, decodeListing } from "../../../src/contenthash/index.ts";
import { type Digest, sha256 } from "../../../src/core/values/digest.ts";
import type { LayerId, Ref } from "../../../src/core/values/layer.ts";
import type { ContentSelector } from "../../../src/core/values/task.ts";
import { makeNode, setXattr } from "../../../src/util/sys/index.ts";
import { materialize, type TreeEntry } from "../../helpers/materialize.ts";

interface Row {
  readonly id: string;
  readonly tree: string;
  readonly path: string;
  readonly opts: Partial<ContentSelector>;
  readonly digest?: string;
  readonly error?: string;
}

const fixture = (name: string): string =>
  readFileSync(new URL(`../../fixtures/contenthash/${name}.json`, import.meta.url), "utf8");
const rows: readonly Row[] = JSON.parse(fixture("table"));
const trees: Readonly<Record<string, readonly TreeEntry[]>> = JSON.parse(fixture("trees"));

const whole: ContentSelector = {
  path: "/",
  wildcard: false,
  followLinks: false,
  includePatterns: [],
  excludePatterns: [],
};
const ref = (...layers: string[]): Ref => ({ layers: layers as LayerId[] });

describe("ContentHasher", () => {
  let root = "";
  let hasher: ContentHasher;
  before(() => {
    root = mkdtempSync(join(tmpdir(), "hash-"));
    for (const [name, entries] of Object.entries(trees)) materialize(entries, join(root, name));
    hasher = new ContentHasher({ snapshotter: { layerPath: (id) => join(root, id) }, threads: 1 });
  });
  after(async () => {
    await hasher[Symbol.asyncDispose]();
    rmSync(root, { recursive: true, force: true });
  });
  const layer = (name: string, entries: readonly TreeEntry[]) => materialize(entries, join(root, name));

  for (const row of rows) {
    it(`agrees with BuildKit on ${row.id}: ${row.path} ${JSON.stringify(row.opts)}`, async () => {
      const digests = hasher.digests(ref(row.tree), [{ ...whole, path: row.path, ...row.opts }]);
      if (row.error !== undefined) await assert.rejects(digests, { message: row.error });
      else assert.deepEqual(await digests, [row.digest]);
    });
  }

  it("sees a stack of layers as one tree", async () => {
    layer("low", [
      { path: "keep/a", type: "file", content: "a" },
      { path: "keep/gone", type: "file" },
      { path: "hidden/x", type: "file" },
      { path: "tofile/x", type: "file" },
    ]);
    layer("up", [
      { path: "keep", type: "dir", mode: "0700" },
      { path: "keep/b", type: "file", content: "b" },
      { path: "hidden/y", type: "file" },
      { path: "tofile", type: "file", content: "f" },
    ]);
    makeNode(join(root, "up/keep/gone"), 0o020000, 0n);
    setXattr(join(root, "up/hidden"), "trusted.overlay.opaque", Buffer.from("y"));
    layer("flat", [
      { path: "keep", type: "dir", mode: "0700" },
      { path: "keep/a", type: "file", content: "a" },
      { path: "keep/b", type: "file", content: "b" },
      { path: "hidden/y", type: "file" },
      { path: "tofile", type: "file", content: "f" },
    ]);
    assert.deepEqual(await hasher.digests(ref("low", "up"), [whole]), await hasher.digests(ref("flat"), [whole]));
  });

  it("joins the digests of several selectors", async () => {
    const selectors = [whole, { ...whole, path: "/dir" }];
    const digests = await hasher.digests(ref("basic"), selectors);
    assert.equal(await hasher.checksum(ref("basic"), selectors), sha256(digests.join("\0")));
  });

  it("takes the whole tree without selectors, and nothing from scratch", async () => {
    assert.equal(await hasher.checksum(ref("basic"), []), await hasher.checksum(ref("basic"), [whole]));
    assert.equal(await hasher.checksum(ref(), [whole]), sha256(sha256("")));
    await assert.rejects(hasher.checksum(ref(), [{ ...whole, path: "x" }]), {
      message: "/x: no such file or directory",
    });
  });

  it("believes what a transfer has hashed", async () => {
    mkdirSync(join(root, "seeded"));
    writeFileSync(join(root, "seeded/f"), "content");
    const known = sha256("known") as Digest;
    await hasher.seed("seeded" as LayerId, new Map([["f", known]]));
    assert.deepEqual(await hasher.digests(ref("seeded"), [{ ...whole, path: "/f" }]), [known]);
  });

  it("leaves the root of a transferred tree without a header", async () => {
    const [plain] = await hasher.digests(ref("basic"), [whole]);
    const [transferred] = await hasher.digests(ref("basic"), [whole], { transferred: true });
    assert.notEqual(transferred, plain);
    const options = { transferred: true };
    const dir = [{ ...whole, path: "/dir" }];
    assert.deepEqual(await hasher.digests(ref("basic"), dir, options), await hasher.digests(ref("basic"), dir));
  });

  it("lists what a digest was computed over", async () => {
    layer("listed", [
      { path: "dir", type: "dir", mode: "0755" },
      { path: "dir/a.txt", type: "file", content: "a" },
      { path: "dir/b.md", type: "file", content: "b" },
      { path: "link", type: "symlink", link: "dir" },
    ]);
    const file = join(root, "listing");
    const list = async (of: Ref, ...selectors: Partial<ContentSelector>[]) => {
      const full = selectors.map((selector) => ({ ...whole, ...selector }));
      await hasher.checksum(of, full);
      await hasher.list(of, full, file);
      return decodeListing(readFileSync(file));
    };
    const paths = async (of: Ref, ...selectors: Partial<ContentSelector>[]) =>
      [...(await list(of, ...selectors)).entries.keys()].sort();
    assert.deepEqual(await paths(ref("listed"), {}), ["./", "dir/", "dir/a.txt", "dir/b.md", "link"]);
    assert.deepEqual(await paths(ref("listed"), { path: "/dir/a.txt" }, { path: "/link" }), ["dir/a.txt", "link"]);
    assert.deepEqual(await paths(ref("listed"), { path: "/dir", excludePatterns: ["*.md"] }), ["dir/", "dir/a.txt"]);
    assert.deepEqual(await paths(ref("listed"), { path: "/*/*.md", wildcard: true }), ["dir/b.md"]);
    assert.deepEqual(await paths(ref("listed"), { path: "/link", followLinks: true }), [
      "link/",
      "link/a.txt",
      "link/b.md",
    ]);
    assert.deepEqual(await paths(ref(), {}), []);

    const before = await list(ref("listed"), { path: "/dir" });
    layer("changes", [
      { path: "dir", type: "dir", mode: "0755" },
      { path: "dir/a.txt", type: "file", content: "A" },
    ]);
    makeNode(join(root, "changes/dir/b.md"), 0o020000, 0n);
    const after = await list(ref("listed", "changes"), { path: "/dir" });
    assert.deepEqual(compareListings(before, after), [
      { path: "dir/a.txt", change: "changed" },
      { path: "dir/b.md", change: "removed" },
    ]);
  });

  it("stops when aborted", async () => {
    await assert.rejects(hasher.checksum(ref("basic"), [whole], { signal: AbortSignal.abort(new Error("enough")) }), {
      message: "enough",
    });
  });
});
