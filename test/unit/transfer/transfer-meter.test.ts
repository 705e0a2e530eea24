import assert from "node:assert/strict";
import { test } from "node:test";
import { TransferMeter } from "../../../src/transfer/index.ts";

const MiB = 1 << 20;

function meterWithClock() {
  let ms = 0;
  const meter = new TransferMeter(() => ms);
  const pass = (seconds: number) => {
    ms += seconds * 1000;
  };
  return { meter, pass };
}

test("counts bytes over the time in which something was read", () => {
  const { meter, pass } = meterWithClock();
  assert.equal(meter.bytesPerSecond, undefined);
  const reads = [meter.read(), meter.read()];
  pass(1);
  meter.arrived(6 * MiB);
  reads[0]?.[Symbol.dispose]();
  pass(1);
  meter.arrived(4 * MiB);
  reads[1]?.[Symbol.dispose]();
  assert.equal(meter.bytesPerSecond, 5 * MiB);
  pass(100);
  assert.equal(meter.bytesPerSecond, 5 * MiB, "idle time says nothing");
  assert.equal(meter.totalBytes, 10 * MiB);
});

test("small transfers say nothing of the link, but count", () => {
  const { meter, pass } = meterWithClock();
  using _read = meter.read();
  pass(3);
  meter.arrived(1000);
  assert.equal(meter.bytesPerSecond, undefined);
  assert.equal(meter.totalBytes, 1000);
});

test("follows a link that changes, also within one long transfer", () => {
  const { meter, pass } = meterWithClock();
  using _read = meter.read();
  const second = (bytes: number) => {
    pass(1);
    meter.arrived(bytes);
  };
  for (let i = 0; i < 10; i++) second(100 * MiB);
  assert.equal(meter.bytesPerSecond, 100 * MiB);
  for (let i = 0; i < 5; i++) second(10 * MiB);
  const between = meter.bytesPerSecond ?? 0;
  assert.ok(between < 100 * MiB && between > 10 * MiB, `${between}`);
  for (let i = 0; i < 100; i++) second(10 * MiB);
  assert.ok(Math.abs((meter.bytesPerSecond ?? 0) / (10 * MiB) - 1) < 0.01);
});
