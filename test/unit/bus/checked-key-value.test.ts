import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { CheckedKeyValueStore, MemoryKeyValueStore } from "../../../src/bus/index.ts";
import { silentLogger } from "../../../src/core/seams/logger.ts";
import { runKeyValueSuite } from "../../conformance/key-value-suite.ts";
import { collectWarnings } from "../../helpers/warnings.ts";

const all = () => true;
runKeyValueSuite("checked", (use) =>
  use(new CheckedKeyValueStore(new MemoryKeyValueStore(), { plain: all, other: all, b: all }, silentLogger)),
);

describe("CheckedKeyValueStore", () => {
  const bytes = (text: string) => Buffer.from(text);
  /** Takes values with an `a`; one with an `x` cannot even be decoded. */
  const check = (value: Uint8Array) => {
    if (Buffer.from(value).includes("x")) throw new SyntaxError("x");
    return Buffer.from(value).includes("a");
  };

  async function open() {
    const inner = await new MemoryKeyValueStore().open("b");
    const { logger, warnings } = collectWarnings();
    const checked = await new CheckedKeyValueStore({ open: async () => inner }, { b: check }, logger).open("b");
    return { inner, checked, warnings };
  }

  it("shows unreadable entries as absent, and says which", async () => {
    const { inner, checked, warnings } = await open();
    await inner.put("good", bytes("a"));
    await inner.put("odd", bytes("b"));
    await inner.put("damaged", bytes("x"));
    const seen: (string | undefined)[] = [];
    using watch = checked.watch("", ({ key, value }) => void seen.push(value && key));
    await watch.ready;
    assert.deepEqual(seen.filter(Boolean), ["good"]);
    assert.equal((await checked.get("good"))?.key, "good");
    assert.equal(await checked.get("odd"), undefined);
    assert.equal(await checked.get("damaged"), undefined);
    assert.deepEqual([...new Set(warnings.map(({ key }) => key))].sort(), ["damaged", "odd"]);
  });

  it("takes an entry for deleted that becomes unreadable", async () => {
    const { inner, checked } = await open();
    await inner.put("k", bytes("a"));
    const seen: boolean[] = [];
    using watch = checked.watch("", ({ value }) => void seen.push(value !== undefined));
    await watch.ready;
    await inner.put("k", bytes("x"));
    await Promise.resolve();
    assert.deepEqual(seen, [true, false]);
  });

  it("creates in the place of what cannot be read, and of nothing else", async () => {
    const { inner, checked } = await open();
    await inner.put("damaged", bytes("x"));
    await checked.create("damaged", bytes("a new"));
    assert.equal(Buffer.from((await inner.get("damaged"))?.value ?? []).toString(), "a new");
    await assert.rejects(checked.create("damaged", bytes("a newer")), /exists already/);
  });
});
