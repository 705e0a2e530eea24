import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, afterEach, before, beforeEach, describe, it } from "node:test";
import {
  type BuildClient,
  directoryOutput,
  makeLayer,
  pushImage,
  pushOutput,
  Sandbox,
} from "../../helpers/sandbox/index.ts";

describe("registries that fail", () => {
  let sandbox: Sandbox;
  let client: BuildClient;
  let images = 0;

  before(async () => {
    sandbox = await Sandbox.start({ agents: 2, proxy: true });
    client = await sandbox.connect();
  });
  beforeEach(() => {
    sandbox.proxy.rule = () => undefined;
    sandbox.proxy.seen.length = 0;
  });
  afterEach(() => sandbox.idle());
  after(() => sandbox?.[Symbol.asyncDispose]());

  /** An image nobody has pulled yet; its one file is `/file`. Named as the proxy has it. */
  async function freshImage(): Promise<{ readonly name: string; readonly layer: string; readonly content: string }> {
    const content = `file of image ${images++}\n`.repeat(10_000);
    const layer = makeLayer([{ path: "file", data: content }]);
    const name = `fresh-${images}:latest`;
    await pushImage(sandbox.image(name), [layer]);
    return { name: `${sandbox.proxy.address}/${name}`, layer: layer.digest, content };
  }

  async function pulled(name: string): Promise<string> {
    const path = join(sandbox.root, `pulled-${images}`);
    await client.build({ dockerfile: `FROM ${name}\n`, outputs: [directoryOutput(path)] });
    return readFile(join(path, "file"), "utf8");
  }

  for (const status of [429, 500, 502, 503]) {
    it(`pulls again after ${status}`, async () => {
      const { name, layer, content } = await freshImage();
      sandbox.proxy.rule = ({ url = "" }, attempt) =>
        (url.includes(layer) || url.includes("/manifests/")) && attempt === 1
          ? { status, headers: { "retry-after": "1" } }
          : undefined;
      assert.equal(await pulled(name), content);
    });
  }

  it("goes on where a download broke off", async () => {
    const { name, layer, content } = await freshImage();
    sandbox.proxy.rule = ({ url = "" }, attempt) =>
      url.includes(layer) && attempt < 3 ? { cutAfterBytes: 200 } : undefined;
    assert.equal(await pulled(name), content);
  });

  it("refuses a layer that is not what its digest says", async () => {
    const { name, layer } = await freshImage();
    sandbox.proxy.rule = ({ url = "" }) => (url.includes(layer) ? { corrupt: true } : undefined);
    await assert.rejects(pulled(name), /digest|corrupt|incorrect|checksum|data/i);
    sandbox.proxy.rule = () => undefined;
    // What was refused is not kept.
    await pulled(name);
  });

  it("refuses a manifest that is not what was asked for", async () => {
    const { name } = await freshImage();
    const [repository] = name.split(":latest");
    sandbox.proxy.rule = ({ url = "" }) => (url.includes("/manifests/") ? { corrupt: true } : undefined);
    await assert.rejects(pulled(`${repository}@sha256:${"a".repeat(64)}`), /not found|digest/i);
    await assert.rejects(pulled(name), /digest|unexpected|invalid|manifest|JSON/i);
  });

  for (const [status, expected] of [
    [401, /401|unauthorized|authorization/i],
    [403, /403|forbidden|denied/i],
    [404, /not found/i],
  ] as const) {
    it(`says so when a pull is answered ${status}`, async () => {
      const { name } = await freshImage();
      sandbox.proxy.rule = () => ({ status });
      await assert.rejects(pulled(name), expected);
      assert.ok(sandbox.proxy.seen.length < 10, `it asked again and again: ${sandbox.proxy.seen.join(", ")}`);
    });
  }

  it("pushes again after errors and broken connections", async () => {
    const name = `${sandbox.proxy.address}/pushed:latest`;
    // Uploads have addresses of their own, so what has failed is told by the method.
    const failed = new Set<string | undefined>();
    sandbox.proxy.rule = ({ method }) => {
      if (failed.has(method)) return undefined;
      failed.add(method);
      return method === "POST" ? { cutAfterBytes: 0 } : { status: method === "PUT" ? 500 : 503 };
    };
    const content = "pushed\n";
    await client.build({
      dockerfile: `FROM ${sandbox.image()}\nRUN echo pushed > /file\n`,
      outputs: [pushOutput(name)],
    });
    sandbox.proxy.rule = () => undefined;
    assert.equal(await pulled(name), content);
  });

  it("waits for a registry that starts again", async () => {
    let started: Promise<void> | undefined;
    await client.build({
      dockerfile: `FROM ${sandbox.image()}\nRUN echo again > /file\n`,
      outputs: [pushOutput(sandbox.image("again:latest"))],
      onVertex: ({ name, completed }) => {
        if (name.includes("RUN echo again") && completed) started ??= restart();
      },
    });
    await started;
    const path = join(sandbox.root, "again");
    await client.build({
      dockerfile: `FROM ${sandbox.image("again:latest")}\n`,
      outputs: [directoryOutput(path)],
    });
    assert.equal(await readFile(join(path, "file"), "utf8"), "again\n");
  });

  async function restart(): Promise<void> {
    await sandbox.registryServer.stop("SIGKILL");
    await sandbox.registryServer.start();
  }

  it("says so when a push is refused", async () => {
    const name = `${sandbox.proxy.address}/refused:latest`;
    sandbox.proxy.rule = ({ method }) => (method === "POST" || method === "PUT" ? { status: 403 } : undefined);
    const build = client.build({
      dockerfile: `FROM ${sandbox.image()}\nRUN echo refused > /file\n`,
      outputs: [pushOutput(name)],
    });
    await assert.rejects(build, /failed to push .*(403|forbidden|denied)/i);
  });

  it("fails in time when the registry does not answer at all", async () => {
    const { name } = await freshImage();
    sandbox.proxy.rule = () => ({ status: 500 });
    await assert.rejects(pulled(name), /500/);
  });
});
