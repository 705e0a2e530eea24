import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { open, readdir, readFile, stat, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { after, before, describe, it } from "node:test";
import { connectNats, NatsKeyValueStore } from "../../../src/bus/index.ts";
import {
  type BuildClient,
  directoryOutput,
  pushOutput,
  Sandbox,
  type SandboxHead,
} from "../../helpers/sandbox/index.ts";
import { treeDigest } from "../../helpers/tree-digest.ts";

const context = { file: "context", "below/other": "other" };
let outputs = 0;

/** @returns what came out */
async function build(sandbox: Sandbox, client: BuildClient): Promise<string> {
  const path = join(sandbox.root, `output-${outputs++}`);
  // Wants a layer that was never packed: what is damaged of it is nowhere else.
  const inside = `FROM ${sandbox.image()} AS made
COPY . /context/
RUN cp -a /context /made && echo made > /made/file
RUN cat /made/file; : ${outputs}
`;
  assert.match((await client.build({ dockerfile: inside, context })).log, /^made$/m);
  await client.build({
    dockerfile: `FROM ${sandbox.image()} AS made
COPY . /context/
RUN cp -a /context /made && echo made > /made/file
FROM scratch
COPY --from=made --chmod=0755 /made /
`,
    context,
    outputs: [directoryOutput(path), pushOutput(sandbox.image(`damaged:${outputs}`))],
  });
  return treeDigest(path);
}

describe("a standalone daemon that finds its state damaged", () => {
  let sandbox: Sandbox;
  let head: SandboxHead;
  let root: string;
  let expected: string;

  before(async () => {
    sandbox = await Sandbox.start({ standalone: true });
    [head] = sandbox.heads as [SandboxHead];
    root = join(sandbox.root, head.name);
    expected = await build(sandbox, await sandbox.connect());
  });
  after(() => sandbox?.[Symbol.asyncDispose]());

  /** Damages the state of the stopped daemon; it must start, say what it found, and build as before. */
  async function survives(damage: () => Promise<void>, told: readonly string[]): Promise<void> {
    await head.process.stop();
    const logged = (await readFile(head.process.logFile)).length;
    await damage();
    await sandbox.restartHead(head);
    assert.equal(await build(sandbox, await sandbox.connect()), expected);
    const log = (await readFile(head.process.logFile)).subarray(logged).toString();
    for (const text of told) assert.ok(log.includes(`"${text}"`), `${text} is not named in the log:\n${log}`);
    await sandbox.idle();
  }

  for (const name of ["agent.db", "coordinator.db"]) {
    it(`goes on without ${name} when that is garbage`, async () => {
      await survives(() => writeFile(join(root, name), "no database".repeat(1000)), [join(root, `${name}.bak`)]);
      assert.ok(existsSync(join(root, `${name}.bak`)));
    });

    it(`goes on without ${name} when half of it is missing`, async () => {
      const path = join(root, name);
      await survives(async () => truncate(path, (await stat(path)).size >> 1), [`${path}.bak`]);
    });

    it(`passes over entries of ${name} that hold something else`, async () => {
      const keys: string[] = [];
      await survives(async () => {
        const database = new DatabaseSync(join(root, name));
        const rows = database.prepare("SELECT bucket, key FROM entry WHERE bucket NOT LIKE 'history%'").all();
        const spoil = database.prepare("UPDATE entry SET value = ? WHERE bucket = ? AND key = ?");
        for (const [i, { bucket, key }] of rows.entries()) {
          spoil.run(Buffer.from(i % 2 === 0 ? "{garbage" : '{"version":2}'), String(bucket), String(key));
          keys.push(String(key));
        }
        database.close();
      }, []);
      const log = head.process.log;
      assert.ok(keys.some((key) => log.includes(`"key":"${key}"`)));
    });
  }

  it("is a new agent when its id is lost", () =>
    survives(() => writeFile(join(root, "agent-id"), ""), [join(root, "agent-id.bak")]));

  it("does without layers whose metadata is damaged", async () => {
    const layers = join(root, "snapshots/layers");
    const ids = await readdir(layers);
    assert.ok(ids.length > 0);
    await survives(
      async () => {
        for (const id of ids) await writeFile(join(layers, id, "layer.json"), "{");
      },
      ids.map((id) => join(layers, id)),
    );
  });

  it("does not believe blobs that were damaged", async () => {
    const blobs = join(root, "content/blobs/sha256");
    const names = await readdir(blobs);
    assert.ok(names.length > 0);
    await survives(async () => {
      for (const name of names) {
        await using file = await open(join(blobs, name), "r+");
        await file.write(Buffer.from("damaged"), 0, 7, 3);
      }
    }, []);
  });
});

describe("a fleet whose shared index is damaged", () => {
  let sandbox: Sandbox;

  before(async () => {
    sandbox = await Sandbox.start({ agents: 2, coordinators: 2 });
  });
  after(() => sandbox?.[Symbol.asyncDispose]());

  it("passes over what cannot be read, while it runs and when it starts", async () => {
    const expected = await build(sandbox, await sandbox.connect());
    const connection = await connectNats({ urls: [`nats://${sandbox.nats.address}`] }, "test");
    sandbox.defer(() => connection.close());
    const store = new NatsKeyValueStore(connection);
    const damaged: string[] = [];
    for (const name of ["layers", "results", "cache-keys"]) {
      const bucket = await store.open(name);
      const keys: string[] = [];
      using watch = bucket.watch("", ({ key }) => void keys.push(key));
      await watch.ready;
      assert.ok(keys.length > 0);
      for (const [i, key] of keys.entries()) {
        if (i % 3 !== 2)
          await bucket.put(key, Buffer.from(i % 3 === 0 ? "\xc1garbage" : '{"kind":"of a newer version"}'));
        if (i % 3 !== 2) damaged.push(key);
      }
      await bucket.put("unknown", new Uint8Array());
    }
    assert.equal(await build(sandbox, await sandbox.connect(1)), expected);
    const [head] = sandbox.heads as [SandboxHead];
    await head.process.stop();
    await sandbox.restartHead(head);
    assert.equal(await build(sandbox, await sandbox.connect(0)), expected);
    const log = await sandbox.logs();
    for (const key of damaged) assert.ok(log.includes(`"key":"${key}"`), `${key} is not named`);
    await sandbox.idle();
  });
});
