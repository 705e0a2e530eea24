import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { missingRequirements } from "../../../deploy/demo/requirements.ts";

const main = fileURLToPath(new URL("../../../deploy/demo/main.ts", import.meta.url));
const missing = await missingRequirements();
const skip =
  process.getuid?.() !== 0
    ? "needs root"
    : missing.length > 0 && `needs ${missing.map(({ program }) => program).join(", ")}`;

interface Demo {
  readonly child: ChildProcess;
  /** All it has written until now. */
  readonly text: () => string;
  readonly exitCode: Promise<number | null>;
  /** Resolves once it has written this. */
  readonly says: (words: string) => Promise<void>;
}

function startDemo(): Demo {
  const child = spawn(process.execPath, [main], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, DEMO_NO_INSTALL: "1", NO_COLOR: "1" },
  });
  let text = "";
  const exitCode = new Promise<number | null>((resolve) => child.once("close", resolve));
  const says = (words: string) =>
    new Promise<void>((resolve, reject) => {
      const look = () => {
        if (text.includes(words)) resolve();
      };
      child.stdout?.on("data", look);
      exitCode.then(() => reject(new Error(`the demo never said ${JSON.stringify(words)}:\n${text}`)));
      look();
    });
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding("utf8").on("data", (chunk: string) => {
      text += chunk;
    });
  }
  return { child, text: () => text, exitCode, says };
}

/** What a demo that wrote this could have left on the machine. */
function leftovers(text: string): string[] {
  const root = /data in (\S+)\/agent-1/.exec(text)?.[1];
  assert.ok(root, text);
  const left = existsSync(root) ? [root] : [];
  left.push(
    ...readFileSync("/proc/self/mountinfo", "utf8")
      .split("\n")
      .filter((line) => line.includes(root)),
  );
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    try {
      const command = readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ");
      if (command.includes(root)) left.push(command);
    } catch {
      // It has ended meanwhile.
    }
  }
  const network = /network namespaces (\S+)-1 /.exec(text)?.[1];
  if (network !== undefined) {
    left.push(...["/sys/class/net", "/run/netns"].flatMap((directory) => named(directory, network)));
  }
  return left;
}

function named(directory: string, prefix: string): string[] {
  return existsSync(directory)
    ? readdirSync(directory).filter((name) => name === prefix || name.startsWith(`${prefix}-`))
    : [];
}

test("the demo builds, shows where and how, and leaves nothing", { skip }, async () => {
  const demo = startDemo();
  const exitCode = await demo.exitCode;
  const text = demo.text();
  assert.equal(exitCode, 0, text);

  assert.match(text, /agent-1 +\S+, data in/);
  const agents = /(\d+) container steps on (\d) of 3 agents/.exec(text);
  assert.equal(agents?.[1], "5", text);
  assert.ok(Number(agents?.[2]) > 1, "steps of independent stages run on different agents");
  assert.match(text, /agent-\d to agent-\d +\d+ layers? +[\d.]+ k?M?B/);
  assert.match(text, /run container +agent-\d +\+\S+ +█+/);

  const pushed = /digest (sha256:[0-9a-f]{64}), \d+ layers/.exec(text)?.[1];
  assert.ok(pushed, text);
  assert.match(text, /the signing key is in no file of the image and in no log/);
  assert.match(text, /A website built on three machines\n +index\.html +\d+ bytes/);
  assert.match(text, /✓ all (\d+) steps CACHED/);
  assert.match(text, /pages: 1 rendered, 3 taken from the cache mount/);
  assert.match(text, /is gone/);
  assert.deepEqual(leftovers(text), []);
});

test("the demo tidies up when it is interrupted in a build", { skip }, async () => {
  const demo = startDemo();
  await demo.says(" --push web");
  demo.child.kill("SIGINT");
  assert.equal(await demo.exitCode, 130, demo.text());
  assert.match(demo.text(), /stopped/);
  assert.deepEqual(leftovers(demo.text()), []);
});
