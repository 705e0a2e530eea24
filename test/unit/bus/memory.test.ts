import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { it } from "node:test";
import {
  ChunkingMessageBus,
  MemoryKeyValueStore,
  MemoryMessageBus,
  SqliteKeyValueStore,
} from "../../../src/bus/index.ts";
import { runKeyValueSuite } from "../../conformance/key-value-suite.ts";
import { runMessageBusSuite } from "../../conformance/message-bus-suite.ts";

runMessageBusSuite("memory", async () => new MemoryMessageBus());
runMessageBusSuite("chunking", async () => new ChunkingMessageBus(new MemoryMessageBus(), 64));
runKeyValueSuite("memory", (use) => use(new MemoryKeyValueStore()));
runKeyValueSuite("sqlite", async (use) => {
  const dir = await mkdtemp(join(tmpdir(), "buildfleet-kv-"));
  try {
    using store = new SqliteKeyValueStore(join(dir, "state.db"));
    await use(store);
  } finally {
    await rm(dir, { recursive: true });
  }
});

it("SqliteKeyValueStore keeps entries over a restart and begins anew on a corrupt file", async () => {
  const dir = await mkdtemp(join(tmpdir(), "buildfleet-kv-"));
  try {
    const path = join(dir, "state.db");
    {
      using store = new SqliteKeyValueStore(path);
      await (await store.open("b")).put("k", new Uint8Array([7]));
    }
    {
      using store = new SqliteKeyValueStore(path);
      assert.deepEqual((await (await store.open("b")).get("k"))?.value, new Uint8Array([7]));
    }
    await writeFile(
      path,
      "this is no database, only text that is long enough to be read as a header of one".repeat(20),
    );
    using store = new SqliteKeyValueStore(path);
    assert.equal(await (await store.open("b")).get("k"), undefined);
  } finally {
    await rm(dir, { recursive: true });
  }
});

it("SqliteKeyValueStore moves nothing away that is only not to be opened", async () => {
  const dir = await mkdtemp(join(tmpdir(), "buildfleet-kv-"));
  try {
    assert.throws(() => new SqliteKeyValueStore(dir), /unable to open/);
    assert.throws(() => new SqliteKeyValueStore(join(dir, "none", "state.db")), /unable to open/);
  } finally {
    await rm(dir, { recursive: true });
  }
});

it("ChunkingMessageBus carries requests and answers larger than a message", async () => {
  await using bus = new ChunkingMessageBus(new MemoryMessageBus(), 100);
  const big = new Uint8Array(1050).map((_, index) => index % 251);
  using _echo = bus.subscribe("echo", (message) => message.respond(Buffer.concat([message.data, message.data])));
  const answer = await bus.request("echo", big, { timeoutMs: 5000 });
  assert.deepEqual(Buffer.from(answer), Buffer.concat([big, big]));
});

it("SqliteKeyValueStore moves a damaged file away when it opens it", async () => {
  const dir = await mkdtemp(join(tmpdir(), "buildfleet-kv-"));
  try {
    const path = join(dir, "state.db");
    {
      using store = new SqliteKeyValueStore(path);
      const kv = await store.open("b");
      for (let i = 0; i < 500; i++) await kv.put(`key-${i}`, new Uint8Array(200));
    }
    const data = await readFile(path);
    data.fill(0xa5, 4096, 4096 * 6);
    await writeFile(path, data);
    using store = new SqliteKeyValueStore(path);
    assert.equal(await (await store.open("b")).get("key-1"), undefined);
    assert.equal((await readFile(`${path}.bak`)).length, data.length);
  } finally {
    await rm(dir, { recursive: true });
  }
});
