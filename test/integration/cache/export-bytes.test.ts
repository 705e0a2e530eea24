import assert from "node:assert/strict";
import { after, before, beforeEach, describe, it } from "node:test";
import { PruneRequest } from "../../../src/api/gen/control.ts";
import { diff, image, merge, type State } from "../../../src/llb/builder/index.ts";
import { type BuildClient, pushOutput, Sandbox, type SandboxAgent } from "../../helpers/sandbox/index.ts";

/** One finished upload, or one blob taken from another repository. */
interface Stored {
  readonly how: "sent" | "mounted";
  readonly digest: string;
  readonly from: string;
}

describe("bytes of an export", () => {
  let sandbox: Sandbox;
  let client: BuildClient;
  let agents: [SandboxAgent, SandboxAgent];
  const stored: Stored[] = [];
  const fetched: string[] = [];

  before(async () => {
    sandbox = await Sandbox.start({ agents: 2, namespaces: true, proxy: true });
    client = await sandbox.connect();
    agents = sandbox.agents as [SandboxAgent, SandboxAgent];
    sandbox.proxy.rule = ({ method, url = "", socket }) => {
      const { pathname, searchParams } = new URL(url, "http://registry");
      const [digest, mounted] = [searchParams.get("digest"), searchParams.get("mount")];
      const from = socket.remoteAddress ?? "";
      if (method === "PUT" && digest !== null) stored.push({ how: "sent", digest, from });
      if (method === "POST" && mounted !== null) stored.push({ how: "mounted", digest: mounted, from });
      if (method === "GET" && pathname.includes("/blobs/")) fetched.push(pathname.split("/blobs/")[1] ?? "");
      return undefined;
    };
  });
  beforeEach(() => {
    stored.length = 0;
    fetched.length = 0;
  });
  after(() => sandbox?.[Symbol.asyncDispose]());

  const base = () => image(sandbox.image());
  /** A layer that one agent makes; the same command is the same step. */
  const madeBy = (agent: SandboxAgent, command: string): State =>
    diff(base(), base().run({ args: ["sh", "-ec", command], filters: [`id==${agent.id}`] }));
  /** Of two layers, one on each agent. */
  const graph = () =>
    merge([
      madeBy(agents[0], "head -c 300000 /dev/urandom > /left"),
      madeBy(agents[1], "head -c 300000 /dev/urandom > /right"),
    ]);
  const reference = (repository: string) => `${sandbox.proxy.address}/${repository}:latest`;

  async function build(repository: string, imported?: string) {
    const cache = (name: string) => ({ type: "registry", attributes: { ref: reference(name), mode: "max" } });
    await client.build({
      state: graph(),
      outputs: [pushOutput(reference(repository))],
      cacheExports: [cache(`${repository}-cache`)],
      cacheImports: imported === undefined ? [] : [cache(imported)],
    });
    const answer = await fetch(`http://${sandbox.registry}/v2/${repository}/manifests/latest`, {
      headers: { accept: "application/vnd.oci.image.manifest.v1+json" },
    });
    const { layers } = (await answer.json()) as { layers: { digest: string }[] };
    const [left = "", right = ""] = layers.map(({ digest }) => digest);
    assert.equal(layers.length, 2);
    return { left, right };
  }

  const of = (digest: string, how: Stored["how"]) =>
    stored.filter((one) => one.digest === digest && one.how === how).map(({ from }) => from);

  it("are sent once, by the agents that hold them, and mounted where the cache wants them too", async () => {
    const { left, right } = await build("first");
    assert.deepEqual(of(left, "sent"), [agents[0].host?.address]);
    assert.deepEqual(of(right, "sent"), [agents[1].host?.address]);
    assert.deepEqual(of(left, "mounted"), [agents[0].host?.address]);
    assert.deepEqual(of(right, "mounted"), [agents[1].host?.address]);
  });

  it("are none when the target has all", async () => {
    await build("first");
    assert.deepEqual(stored, []);
    assert.deepEqual(fetched, []);
  });

  it("are none of layers that were imported: these stay where they are, and are mounted", async () => {
    await client.build({ state: graph(), cacheExports: [] });
    for await (const _ of client.control.prune(PruneRequest.fromPartial({ all: true }), AbortSignal.timeout(60_000)));
    const { left, right } = await build("second", "first-cache");
    for (const layer of [left, right]) {
      assert.deepEqual(of(layer, "sent"), []);
      assert.notEqual(of(layer, "mounted").length, 0);
      assert.ok(!fetched.includes(layer), `layer ${layer} was fetched`);
    }
  });
});
