import assert from "node:assert/strict";
import { after, afterEach, before, describe, it } from "node:test";
import { connect as connectTls } from "node:tls";
import { image, type State } from "../../../src/llb/builder/index.ts";
import { type BuildClient, Sandbox, type SandboxAgent } from "../../helpers/sandbox/index.ts";

describe("a fleet with TLS", () => {
  let sandbox: Sandbox;
  let client: BuildClient;

  before(async () => {
    sandbox = await Sandbox.start({ agents: 2, namespaces: true, fleetTls: true });
    client = await sandbox.connect();
  });
  afterEach(() => sandbox.idle());
  after(() => sandbox?.[Symbol.asyncDispose]());

  const on = (agent: SandboxAgent | undefined, state: State, command: string) =>
    state.run({ args: ["sh", "-ec", command], filters: [`id==${agent?.id}`] });

  it("lends secrets to steps", async () => {
    const done = await client.build({
      dockerfile: `FROM ${sandbox.image()}\nRUN --mount=type=secret,id=key wc -c < /run/secrets/key\n`,
      secrets: { key: "0123456789" },
    });
    assert.match(done.log, /\b10\b/);
  });

  it("moves layers between agents", async () => {
    const [first, second] = sandbox.agents;
    const made = on(first, image(sandbox.image()), "echo moved > /file");
    const done = await client.build({ state: on(second, made, "cat /file; echo second") });
    assert.match(done.log, /moved\s+second/);
  });

  it("has no port that takes a stranger", async () => {
    const facts = (await sandbox.logs())
      .split("\n")
      .flatMap((line) => (line.startsWith("{") ? [JSON.parse(line)] : []));
    const links = facts.filter(({ msg }) => msg === "coordinator is ready").map(({ agentLink }) => agentLink);
    const blobs = facts.filter(({ msg }) => msg === "agent is ready").map(({ blobUrl }) => blobUrl);
    assert.deepEqual([links.length, blobs.length], [1, 2]);
    for (const blobUrl of blobs) assert.match(blobUrl, /^https:/);
    for (const address of [...links, ...blobs]) {
      const { hostname: host, port } = new URL(address.replace(/^(https:)?(\/\/)?/, "https://"));
      const socket = connectTls({
        host,
        port: Number(port),
        rejectUnauthorized: false,
        ALPNProtocols: ["h2", "http/1.1"],
      });
      const refused = new Promise((resolve) => socket.once("error", resolve).once("data", () => resolve("answered")));
      assert.match(String(await refused), /certificate required/i, address);
      socket.destroy();
    }
  });
});
