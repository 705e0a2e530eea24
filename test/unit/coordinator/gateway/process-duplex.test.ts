import assert from "node:assert/strict";
import { once } from "node:events";
import { it } from "node:test";
import { ProcessDuplex } from "../../../../src/coordinator/gateway/process-duplex.ts";

it("a process's output waits for the reader, its input for the process", async () => {
  const duplex = new ProcessDuplex();
  const { stdin, stdout } = duplex.io(() => {});
  const chunk = Buffer.alloc(64 << 10, 1);
  let written = 0;
  const writing = (async () => {
    for (; written < 100; written++) await stdout(chunk);
    duplex.processEnded();
  })();
  await new Promise((resolve) => setImmediate(resolve));
  assert.ok(written < 10, `${written} chunks are held`);
  let bytes = 0;
  for await (const part of duplex) bytes += part.length;
  await writing;
  assert.equal(bytes, 100 * chunk.length);

  let taken = 0;
  const other = new ProcessDuplex();
  const input = other.io(() => {}).stdin ?? stdin;
  while (other.write(chunk)) taken++;
  assert.ok(taken < 10, `${taken} chunks are held`);
  other.end();
  let received = 0;
  for await (const part of input ?? []) received += part.length;
  assert.equal(received, (taken + 1) * chunk.length);
});

it("a stream that is destroyed holds nobody back", async () => {
  const duplex = new ProcessDuplex();
  const { stdin, stdout } = duplex.io(() => {});
  const blocked = (async () => {
    for (let i = 0; i < 10; i++) await stdout(Buffer.alloc(128 << 10));
  })();
  duplex.destroy();
  await once(duplex, "close");
  await blocked;
  for await (const _ of stdin ?? []) assert.fail("there is no input");
});
