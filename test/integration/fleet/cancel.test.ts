import assert from "node:assert/strict";
import { fork } from "node:child_process";
import { after, afterEach, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { image, type State } from "../../../src/llb/builder/index.ts";
import { type BuildClient, Sandbox, waitFor } from "../../helpers/sandbox/index.ts";

describe("builds that end early", () => {
  let sandbox: Sandbox;
  let client: BuildClient;

  before(async () => {
    sandbox = await Sandbox.start({ agents: 2 });
    client = await sandbox.connect();
  });
  afterEach(() => sandbox.idle());
  after(() => sandbox?.[Symbol.asyncDispose]());

  /** Ignores SIGTERM and would run for an hour. */
  const stubborn = (mark: string, ignoreCache = false): State =>
    image(sandbox.image()).run({
      args: ["sh", "-c", `trap '' TERM INT; sleep 3600 & echo ${mark}; wait; wait`],
      ignoreCache,
    });
  const containers = () => sandbox.containers().filter((command) => command.includes("sleep 3600"));

  it("ends containers when the client cancels", async () => {
    const abort = new AbortController();
    const build = client.build({ state: stubborn("cancelled"), signal: abort.signal });
    await waitFor("the step to run", () => containers().length > 0);
    const cancelled = assert.rejects(build, /canceled|abort/i);
    abort.abort();
    await cancelled;
    await waitFor("its containers to end", () => containers().length === 0);
  });

  it("ends containers when the client's process is killed", async () => {
    const script = fileURLToPath(new URL("./lonely-client.ts", import.meta.url));
    const [head] = sandbox.heads;
    const child = fork(script, [head?.address ?? "", sandbox.image(), sandbox.root], { stdio: "ignore" });
    await waitFor("the step to run", () => containers().length > 0);
    child.kill("SIGKILL");
    await waitFor("its containers to end", () => containers().length === 0);
  });

  it("goes on for another build that wants the same step", async () => {
    const step = image(sandbox.image()).run({ args: ["sh", "-c", "sleep 4; echo finished"] });
    const abort = new AbortController();
    const first = client.build({ state: step, signal: abort.signal });
    await waitFor("the step to run", () => sandbox.containers().length > 0);
    const second = client.build({ state: step });
    const shared = new Promise((resolve) => setTimeout(resolve, 500));
    const refused = assert.rejects(first, /canceled|abort/i);
    await shared;
    abort.abort();
    await refused;
    const done = await second;
    assert.match(done.log, /finished/);
  });

  it("ends what still runs when a neighbour fails", async () => {
    const both = image(sandbox.image()).run({
      args: ["true"],
      mounts: [
        { target: "/a", source: stubborn("doomed") },
        { target: "/b", source: image(sandbox.image()).run({ args: ["sh", "-c", "sleep 1; exit 9"] }) },
      ],
    });
    await assert.rejects(client.build({ state: both }), /exit code: 9/);
    await waitFor("the other step to end", () => containers().length === 0);
  });

  it("ends containers when a coordinator stops", async () => {
    const build = client.build({ state: stubborn("stopped") });
    const failed = assert.rejects(build);
    await waitFor("the step to run", () => containers().length > 0);
    const [head] = sandbox.heads;
    if (head === undefined) throw new Error("no head");
    assert.equal(await head.process.stop("SIGTERM"), "code 0");
    await failed;
    await waitFor("its containers to end", () => containers().length === 0);
    await sandbox.restartHead(head);
  });

  it("ends containers that no other build may share when a coordinator is killed", async () => {
    const other = await sandbox.connect();
    const failed = assert.rejects(other.build({ state: stubborn("killed", true) }));
    await waitFor("the step to run", () => containers().length > 0);
    const [head] = sandbox.heads;
    if (head === undefined) throw new Error("no head");
    await head.process.stop("SIGKILL");
    await failed;
    await waitFor("its containers to end", () => containers().length === 0);
    await sandbox.restartHead(head);
  });
});
