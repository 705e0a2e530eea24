import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, afterEach, before, describe, it } from "node:test";
import { FileAction, image, local, merge, type State, scratch } from "../../../src/llb/builder/index.ts";
import {
  type BuildClient,
  directoryOutput,
  fileOutput,
  pushOutput,
  Sandbox,
  type SandboxAgent,
  waitFor,
} from "../../helpers/sandbox/index.ts";

/**
 * All that a build has made so far is lost with the only agent, and another one joins. Below it is the copy of another
 * client's directory, found in the cache by its content: how that was made is no longer to be had.
 */
describe("results that are lost while their build runs", () => {
  let sandbox: Sandbox;
  let client: BuildClient;

  before(async () => {
    sandbox = await Sandbox.start({ agents: 1, agent: { slots: 2 }, namespaces: true });
    client = await sandbox.connect();
  });
  afterEach(async () => {
    // What a killed agent left goes when it starts again.
    for (const agent of sandbox.agents.filter(({ process }) => !process.running)) {
      await sandbox.restartAgent(agent);
      await agent.process.stop("SIGTERM");
    }
    await sandbox.idle();
  });
  after(() => sandbox?.[Symbol.asyncDispose]());

  const sh = (state: State, command: string, name: string) =>
    state.run({ args: ["sh", "-ec", command], customName: name });
  const copied = (onto: State) =>
    onto.file(FileAction.none.copy(local("src"), "/given", "/given"), { customName: "copy" });
  const base = () => image(sandbox.image());
  const ran = (name: string) => waitFor(name, () => sandbox.containers().some((command) => command.includes(name)));

  /** The directory as a client has it, and the copy of it in the cache by another one. */
  async function given(text: string, onto: State): Promise<Readonly<Record<string, string>>> {
    const write = () => client.writeContext({ given: `${text}\n` });
    await client.build({ state: copied(onto), locals: { src: await write() } });
    return { src: await write() };
  }

  function onlyAgent(): SandboxAgent {
    const [agent, ...others] = sandbox.agents.filter(({ process }) => process.running);
    assert.ok(agent !== undefined && others.length === 0);
    return agent;
  }

  async function loseAgent(): Promise<void> {
    await onlyAgent().process.stop("SIGKILL");
    await sandbox.startAgent();
  }

  async function isMadeAnew(name: string, made: (onto: State) => State, onto: State): Promise<void> {
    const locals = await given(name, onto);
    const path = join(sandbox.root, `output-${name}`);
    // It comes to its end on another agent only.
    const here = `ip -4 addr show eth0 | grep -q 'inet ${onlyAgent().host?.address}/'`;
    const built = client.build({
      state: sh(made(copied(onto)), `if ${here}; then sleep 600; fi; echo last >> /given`, "waits"),
      locals,
      outputs: [directoryOutput(path)],
    });
    built.catch(() => {});
    await Promise.race([ran("sleep 600"), built]);
    await loseAgent();
    const { log } = await built;
    assert.match(log, /what is lost is made anew/);
    assert.equal(await readFile(join(path, "given"), "utf8"), `${name}\nlast\n`);
    assert.equal(await readFile(join(path, "made"), "utf8"), `${name}\n`);
  }

  it("are made anew for the step that waits for them", () =>
    isMadeAnew("step", (copy) => sh(copy, "cp /given /made", "made"), base()));

  it("are made anew behind a merge", () =>
    isMadeAnew(
      "behind a merge",
      (copy) => merge([base(), copy, sh(base(), "echo behind a merge > /made", "made")]),
      scratch(),
    ));

  it("are packed again for an image and a cache when the agent that had packed them has left", async () => {
    const packer = onlyAgent();
    const packed = (name: string) => sh(base(), `echo ${name} > /made`, name);
    const push = (name: string) => client.build({ state: packed(name), outputs: [pushOutput(sandbox.image(name))] });
    const { response } = await push("for-image");
    await push("for-cache");
    const { id } = await sandbox.startAgent();
    for (const name of ["for-image", "for-cache"]) {
      await client.build({ state: packed(name).run({ args: ["true"], filters: [`id==${id}`] }) });
    }
    assert.equal(await packer.process.stop("SIGTERM"), "code 0");
    const exported = await client.build({
      state: packed("for-image"),
      outputs: [fileOutput("oci", join(sandbox.root, "packed.tar"))],
    });
    assert.equal(exported.response["containerimage.digest"], response["containerimage.digest"]);
    const cache = { type: "registry", attributes: { ref: sandbox.image("packed:cache"), mode: "max" } };
    const { log } = await client.build({ state: packed("for-cache"), cacheExports: [cache] });
    assert.doesNotMatch(exported.log + log, /made a(gain|new)/);
  });

  it("are made anew for an image and a cache that are being exported", async () => {
    const locals = await given("export", base());
    const made = sh(copied(base()), "head -c 12000000 /dev/urandom > /made; sha256sum /made /given > /sums", "made");
    let lost: Promise<void> | undefined;
    const name = sandbox.image("exported:latest");
    const cache = { type: "registry", attributes: { ref: sandbox.image("exported:cache") } };
    const { log } = await client.build({
      state: made,
      locals,
      outputs: [pushOutput(name)],
      cacheExports: [{ ...cache, attributes: { ...cache.attributes, mode: "max" } }],
      onVertex: (vertex) => {
        if (vertex.name === "exporting to image") lost ??= loseAgent();
      },
    });
    await lost;
    assert.match(log, /what is lost is made anew/);
    await client.build({ state: sh(image(name), "sha256sum -c /sums", "check") });
    const again = await client.build({ state: made, locals, cacheImports: [cache] });
    assert.ok(again.cached.includes("made"));
  });
});
