import assert from "node:assert/strict";
import { mkdtemp, open, rm, stat, truncate, writeFile } from "node:fs/promises";
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
import { collectWarnings } from "../../helpers/warnings.ts";

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

for (const [damage, spoil] of Object.entries<(path: string) => Promise<void>>({
  "overwritten with text": (path) => writeFile(path, "this is no database, only text, and quite long".repeat(40)),
  "cut off": (path) => truncate(path, 5000),
  "damaged in the middle": async (path) => {
    await using file = await open(path, "r+");
    await file.write(Buffer.alloc(4096, 0x5a), 0, 4096, 4096);
  },
})) {
  it(`SqliteKeyValueStore moves a database aside that was ${damage}, and says so`, async () => {
    const dir = await mkdtemp(join(tmpdir(), "buildfleet-kv-"));
    try {
      const path = join(dir, "state.db");
      {
        using store = new SqliteKeyValueStore(path);
        const bucket = await store.open("b");
        for (let i = 0; i < 100; i++) await bucket.put(`key-${i}`, Buffer.alloc(200));
      }
      await spoil(path);
      // Of a process that was killed; they belong to the damaged file.
      await writeFile(`${path}-wal`, "rest of a log");
      const { logger, warnings } = collectWarnings();
      {
        using store = new SqliteKeyValueStore(path, logger);
        const bucket = await store.open("b");
        assert.equal(await bucket.get("key-1"), undefined);
        await bucket.put("key-1", new Uint8Array([1]));
      }
      assert.deepEqual(
        warnings.map(({ path, movedTo }) => ({ path, movedTo })),
        [{ path, movedTo: `${path}.bak` }],
      );
      assert.ok((await stat(`${path}.bak`)).size > 0);
      using store = new SqliteKeyValueStore(path, logger);
      assert.deepEqual((await (await store.open("b")).get("key-1"))?.value, new Uint8Array([1]));
      assert.equal(warnings.length, 1);
    } finally {
      await rm(dir, { recursive: true });
    }
  });
}

it("SqliteKeyValueStore keeps entries over a restart", async () => {
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
