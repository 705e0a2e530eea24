import assert from "node:assert/strict";
import { execFile, execFileSync, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { readFileSync, realpathSync } from "node:fs";
import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, afterEach, before, describe, it } from "node:test";
import { promisify } from "node:util";
import { connect } from "@nats-io/transport-node";
import { DockerConfig } from "../../../src/client/index.ts";
import { AuthService, SshService, TokenAuthority } from "../../../src/client/session/index.ts";
import { image } from "../../../src/llb/builder/index.ts";
import {
  type BuildClient,
  directoryOutput,
  type FaultyProxy,
  makeLayer,
  pushImage,
  pushOutput,
  Sandbox,
  waitFor,
} from "../../helpers/sandbox/index.ts";

const run = promisify(execFile);

/** Agents in network namespaces reach the client only through the coordinator. */
describe("what a client lends to its builds", () => {
  let sandbox: Sandbox;
  let client: BuildClient;
  let proxy: FaultyProxy;
  const bus: Buffer[] = [];
  const login = Buffer.from(`alice:${randomBytes(12).toString("hex")}`).toString("base64");

  before(async () => {
    sandbox = await Sandbox.start({ agents: 2, namespaces: true, proxy: true });
    proxy = sandbox.proxy;
    proxy.rule = (message) =>
      message.headers.authorization === `Basic ${login}`
        ? undefined
        : { status: 401, headers: { "www-authenticate": 'Basic realm="sandbox"' } };
    client = await sandbox.connect();
    const connection = await connect({ servers: sandbox.nats.address });
    sandbox.defer(() => connection.close());
    connection.subscribe(">", { callback: (_error, message) => void bus.push(Buffer.from(message.data)) });
    await connection.flush();
  });
  afterEach(() => sandbox.idle());
  after(() => sandbox?.[Symbol.asyncDispose]());

  /** The value is in no message, no log and no file of the sandbox. */
  async function assertNowhere(...values: readonly string[]): Promise<void> {
    for (const value of values) {
      assert.equal(bus.filter((message) => message.includes(value)).length, 0, "a message on the bus has it");
      // grep ends with 1 when it finds nothing.
      const found = await run("grep", ["-rlaF", "--", value, sandbox.root]).catch((error: { stdout: string }) => error);
      assert.equal(found.stdout, "", "files have it");
    }
  }

  it("shows secrets to steps and to nobody else", async () => {
    const [file, env] = [randomBytes(12).toString("hex"), randomBytes(12).toString("hex")];
    const path = join(sandbox.root, "with-secret");
    const reversed = (text: string) => [...text].reverse().join("");
    const done = await client.build({
      dockerfile: `FROM ${sandbox.image()}
RUN --mount=type=secret,id=file,target=/run/key,mode=0400,uid=1000 --mount=type=secret,id=env,env=TOKEN \
  stat -c '%u %a' /run/key && awk '{for (i = length; i > 0; i--) printf "%s", substr($0, i, 1)}' /run/key && echo \
  && echo "$TOKEN" | awk '{for (i = length; i > 0; i--) printf "%s", substr($0, i, 1)}'
RUN [ ! -s /run/key ] && [ -z "$TOKEN" ]
`,
      secrets: { file, env },
      outputs: [directoryOutput(path)],
    });
    assert.match(done.log, /1000 400/);
    assert.ok(done.log.includes(reversed(file)));
    assert.ok(done.log.includes(reversed(env)));
    assert.ok(
      bus.some((message) => message.includes("1000 400")),
      "the bus is not seen",
    );
    await assertNowhere(file, env);
  });

  it("names a secret that is missing, and does without an optional one", async () => {
    const step = (required: boolean) => ({
      dockerfile: `FROM ${sandbox.image()}\nRUN --mount=type=secret,id=absent${required ? ",required=true" : ""} true\n`,
    });
    await assert.rejects(client.build(step(true)), /secret absent: not found/);
    await client.build(step(false));
  });

  it("forwards an ssh agent to a step and only what agents may ask", async () => {
    const directory = join(sandbox.root, "client", "ssh");
    await mkdir(directory, { recursive: true });
    const socket = join(directory, "agent");
    const agent = spawn("ssh-agent", ["-D", "-a", socket], { stdio: "ignore" });
    sandbox.defer(async () => void agent.kill("SIGKILL"));
    const key = join(directory, "key");
    execFileSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-C", "lent", "-f", key]);
    await waitFor("the agent's socket", () =>
      run("ssh-add", ["-q", key], { env: { SSH_AUTH_SOCK: socket } }).then(
        () => true,
        () => undefined,
      ),
    );
    await pushImage(sandbox.image("ssh:latest"), [makeLayer(programEntries("/usr/bin/ssh-add"))]);
    const ssh = await SshService.open([{ id: "default", paths: [socket], raw: false }], {});
    const tools = image(sandbox.image("ssh:latest"));
    const step = (args: readonly string[]) =>
      image(sandbox.image()).run({
        args: ["/ssh/lib-loader", "--library-path", "/ssh/lib", "/ssh/program", ...args],
        mounts: [{ target: "/ssh", source: tools, readonly: true }],
        ssh: [{ id: "default" }],
      });
    const listed = await client.build({ state: step(["-l"]), services: [ssh] });
    assert.match(listed.log, /lent \(ED25519\)/);
    // The agent says no to everything but listing and signing.
    await assert.rejects(client.build({ state: step(["-D"]), services: [ssh] }), /did not complete successfully/);
    const still = await run("ssh-add", ["-l"], { env: { SSH_AUTH_SOCK: socket } });
    assert.match(still.stdout, /lent/);
    await assert.rejects(client.build({ state: step(["-l", "-v"]) }), /ssh/i);
  });

  it("logs in to a registry with the client's password", async () => {
    const name = `${proxy.address}/private:latest`;
    const config = new DockerConfig("", { auths: { [proxy.address]: { auth: login } } });
    const auth = new AuthService({ config, authority: new TokenAuthority(join(sandbox.root, "client")) });
    const path = join(sandbox.root, "pulled");
    const push = { dockerfile: `FROM ${sandbox.image()}\nRUN echo private > /private\n`, outputs: [pushOutput(name)] };
    await assert.rejects(client.build(push), /401|unauthorized|authorization failed/i);
    await client.build({ ...push, services: [auth] });
    await client.build({ dockerfile: `FROM ${name}\n`, services: [auth], outputs: [directoryOutput(path)] });
    assert.equal(await readFile(join(path, "private"), "utf8"), "private\n");
    const password = Buffer.from(login, "base64").toString().slice("alice:".length);
    await assertNowhere(password, login);
  });
});

/** A dynamically linked program of this machine, its libraries and its loader. */
function programEntries(program: string) {
  const lines = execFileSync("ldd", [program], { encoding: "utf8" }).split("\n");
  const libraries = lines.flatMap((line) => /=> (\/\S+)/.exec(line)?.[1] ?? []);
  const loader = lines.flatMap((line) => /^\s*(\/\S+ld-\S+)/.exec(line)?.[1] ?? [])[0] ?? "";
  const file = (path: string, from: string) => ({ path, data: readFileSync(realpathSync(from)), mode: 0o755 });
  return [
    { path: "lib", directory: true } as const,
    file("program", program),
    file("lib-loader", loader),
    ...libraries.map((library) => file(`lib/${library.slice(library.lastIndexOf("/") + 1)}`, library)),
  ];
}
