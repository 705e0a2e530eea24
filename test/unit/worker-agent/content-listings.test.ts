import assert from "node:assert/strict";
import { mkdtemp, readdir, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { silentLogger } from "../../../src/core/seams/logger.ts";
import { digestHex, sha256 } from "../../../src/core/values/digest.ts";
import { ContentListings } from "../../../src/worker-agent/inventory/content-listings.ts";

describe("ContentListings", () => {
  let directory: string;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), "listings-"));
  });
  afterEach(() => rm(directory, { recursive: true }));

  const open = (maxBytes = 1000) => ContentListings.open({ directory, maxBytes, logger: silentLogger });
  const [a, b, c] = ["a", "b", "c"].map((text) => sha256(text)) as [never, never, never];
  const bytes = (count: number) => (file: string) => writeFile(file, new Uint8Array(count));
  const sizes = async (listings: ContentListings) =>
    Promise.all([a, b, c].map(async (digest) => (await listings.read(digest))?.length));

  it("writes a listing once, in the background, and gives it out when it is whole", async () => {
    await using listings = await open();
    const gate = Promise.withResolvers<void>();
    let writes = 0;
    const write = async (file: string) => {
      writes++;
      await gate.promise;
      await bytes(10)(file);
    };
    listings.keep(a, write);
    listings.keep(a, write);
    const read = listings.read(a);
    gate.resolve();
    assert.equal((await read)?.length, 10);
    listings.keep(a, write);
    assert.deepEqual(await sizes(listings), [10, undefined, undefined]);
    assert.equal(writes, 1);
  });

  it("removes those not used for longest when there is no room", async () => {
    await using listings = await open();
    for (const digest of [a, b, a]) {
      listings.keep(digest, bytes(400));
      await listings.read(digest);
    }
    listings.keep(c, bytes(400));
    assert.deepEqual(await sizes(listings).then(() => sizes(listings)), [400, undefined, 400]);
    assert.deepEqual((await readdir(directory)).sort(), [a, c].map(digestHex).sort());
  });

  it("finds them again after a restart, with what was cut off removed", async () => {
    await using before = await open();
    for (const digest of [a, b]) before.keep(digest, bytes(400));
    await sizes(before);
    await utimes(join(directory, digestHex(a)), 1, 1);
    await writeFile(join(directory, `${digestHex(c)}.1`), "half");
    await using after = await open();
    assert.deepEqual(await sizes(after), [400, 400, undefined]);
    after.keep(c, bytes(400));
    await after.read(c);
    assert.deepEqual(await sizes(after), [undefined, 400, 400], "the oldest went");
    assert.equal((await readdir(directory)).length, 2);
  });

  it("goes on when one cannot be written", async () => {
    await using listings = await open();
    listings.keep(a, () => Promise.reject(new Error("layer is gone")));
    assert.equal(await listings.read(a), undefined);
    listings.keep(a, bytes(1));
    assert.equal((await listings.read(a))?.length, 1);
  });
});
