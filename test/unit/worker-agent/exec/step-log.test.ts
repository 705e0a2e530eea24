import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { goQuote } from "../../../../src/util/go-quote.ts";
import { SecretMask } from "../../../../src/worker-agent/ops/exec/secret-mask.ts";
import { StepLog, stepLogLimits } from "../../../../src/worker-agent/ops/exec/step-log.ts";

function collect(): { text: () => string; progress: ConstructorParameters<typeof StepLog>[0] } {
  const parts: Uint8Array[] = [];
  return {
    text: () => Buffer.concat(parts).toString(),
    progress: { status: () => {}, warn: () => {}, log: (_, data) => void parts.push(Buffer.from(data)) },
  };
}

describe("StepLog", () => {
  test("clips by speed, then shows more in the next second", () => {
    let now = 0;
    const { text, progress } = collect();
    const log = new StepLog(progress, 1, { limits: { maxBytes: 1000, maxBytesPerSecond: 10 }, now: () => now });
    log.write(Buffer.from("0123456789abc"));
    log.write(Buffer.from("dropped"));
    assert.equal(text(), "0123456789\n[output clipped, log limit 10B/s reached]\n");
    now = 2500;
    log.write(Buffer.from("more"));
    assert.equal(text(), "0123456789\n[output clipped, log limit 10B/s reached]\nmore");
  });

  test("clips by size and names the limit as BuildKit does", () => {
    const { text, progress } = collect();
    const log = new StepLog(progress, 1, { limits: { maxBytes: 2048, maxBytesPerSecond: -1 } });
    log.write(Buffer.alloc(3000, "x"));
    log.end(false);
    assert.equal(text(), `${"x".repeat(2048)}\n[output clipped, log limit 2KiB reached]\n`);
  });

  test("a failed step shows the end of what was clipped", () => {
    const { text, progress } = collect();
    const log = new StepLog(progress, 1, { limits: { maxBytes: 4, maxBytesPerSecond: -1 } });
    log.write(Buffer.from("12345678"));
    log.write(Buffer.from("the cause"));
    log.end(true);
    assert.equal(text(), "1234\n[output clipped, log limit 4B reached]\n12345678the cause");
  });

  test("keeps no more than the last 256 KiB of what was clipped", () => {
    const { text, progress } = collect();
    const log = new StepLog(progress, 1, { limits: { maxBytes: 0, maxBytesPerSecond: -1 } });
    for (let i = 0; i < 5000; i++) log.write(Buffer.alloc(1000, String(i % 10)));
    log.end(true);
    assert.equal(text().length - "\n[output clipped, log limit 0B reached]\n".length, 256 << 10);
    assert.ok(text().endsWith("9".repeat(1000)));
  });

  test("-1 is no limit; the environment sets both", () => {
    assert.deepEqual(stepLogLimits({}), { maxBytes: 2 << 20, maxBytesPerSecond: 200 << 10 });
    assert.deepEqual(stepLogLimits({ BUILDKIT_STEP_LOG_MAX_SIZE: "-1", BUILDKIT_STEP_LOG_MAX_SPEED: "5" }), {
      maxBytes: -1,
      maxBytesPerSecond: 5,
    });
    assert.equal(stepLogLimits({ BUILDKIT_STEP_LOG_MAX_SIZE: "1k" }).maxBytes, 2 << 20);
    const { text, progress } = collect();
    const log = new StepLog(progress, 1, { limits: { maxBytes: -1, maxBytesPerSecond: -1 } });
    log.write(Buffer.alloc(5 << 20));
    assert.equal(text().length, 5 << 20);
  });

  test("secrets are masked before anything is shown", () => {
    const { text, progress } = collect();
    const log = new StepLog(progress, 2, { secrets: [Buffer.from("hunter22\n")] });
    log.write(Buffer.from("a hunt"));
    log.write(Buffer.from("er22 b hunt"));
    log.end(true);
    assert.equal(text(), "a *** b hunt");
  });
});

describe("SecretMask", () => {
  test("finds secrets wherever the stream is cut", () => {
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom("secret", "secretive", "sec", "se", "x", "\n"), { maxLength: 12 }),
        fc.array(fc.nat(8), { maxLength: 40 }),
        (words, cuts) => {
          const text = words.join("");
          const mask = new SecretMask([Buffer.from("secret"), Buffer.from("secretive")]);
          let shown = "";
          let at = 0;
          for (const cut of [...cuts, text.length]) {
            shown += Buffer.from(mask.add(Buffer.from(text.slice(at, at + cut)))).toString();
            at = Math.min(text.length, at + cut);
          }
          shown += Buffer.from(mask.end()).toString();
          assert.equal(shown, text.replaceAll(/secret(ive)?/g, "***"));
        },
      ),
    );
  });

  test("hides each line of a secret, and what is between them when all is printed", () => {
    const mask = new SecretMask([Buffer.from("-- key --\r\n  line one\r\n{\r\nline two\r\n")]);
    const show = (text: string) => Buffer.from(mask.add(Buffer.from(text))).toString();
    assert.equal(show("> line two\n> line one\n> {\n"), "> ***\n> ***\n> {\n");
    assert.equal(show("-- key --\r\n  line one\r\n"), "");
    assert.equal(show("{\r\nline two\r\nend"), "***\r\nend");
    assert.equal(show("-- key --\r\n  li"), "");
    assert.equal(show("ne three"), "***\r\n  line three");
  });

  test("shows at the end what only looked like a secret, and no part of one", () => {
    const mask = new SecretMask([Buffer.from("secret"), Buffer.from("secretive one")]);
    assert.equal(Buffer.from(mask.add(Buffer.from("a secretive o"))).toString(), "a ");
    assert.equal(Buffer.from(mask.end()).toString(), "***ive o");
    assert.equal(mask.end().length, 0);
  });

  test("passes output through untouched when there are none", () => {
    const data = Buffer.from("text");
    assert.equal(new SecretMask([]).add(data), data);
    assert.equal(new SecretMask([Buffer.from("abc")]).add(data), data);
  });
});

test("goQuote() escapes as Go's %q does", () => {
  assert.equal(goQuote('a "b"\n\t\\ ünï 世 😀'), '"a \\"b\\"\\n\\t\\\\ ünï 世 😀"');
  assert.equal(goQuote("\u0001\u007f\u00a0\u200b\ufeff"), '"\\x01\\x7f\\u00a0\\u200b\\ufeff"');
});
