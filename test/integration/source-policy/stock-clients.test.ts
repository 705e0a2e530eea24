import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, afterEach, before, describe, it } from "node:test";
import { promisify } from "node:util";
import { Sandbox } from "../../helpers/sandbox/index.ts";

const run = promisify(execFile);
const launcher = join(import.meta.dirname, "../../../bin/buildfleet.mjs");

async function installed(command: string, ...args: string[]): Promise<boolean> {
  return run(command, args).then(
    () => true,
    () => false,
  );
}

interface Failed {
  readonly stderr: string;
}

describe("clients with a source policy", async () => {
  let sandbox: Sandbox;
  let context = "";
  let address = "";
  let convertFile = "";
  let denyFile = "";

  before(async () => {
    sandbox = await Sandbox.start({ standalone: true });
    address = sandbox.heads[0]?.address ?? "";
    const client = await sandbox.connect();
    context = await client.writeContext({ Dockerfile: "FROM example.com/base:1\nRUN echo it ran\n" });
    const writePolicy = async (name: string, rule: object) => {
      const path = join(sandbox.root, name);
      await writeFile(path, JSON.stringify({ rules: [rule] }));
      return path;
    };
    convertFile = await writePolicy("convert.json", {
      action: "CONVERT",
      selector: { identifier: "docker-image://example.com/base:*" },
      updates: { identifier: `docker-image://${sandbox.image("busybox:latest")}` },
    });
    denyFile = await writePolicy("deny.json", {
      action: "DENY",
      selector: { identifier: "example\\.com/", match_type: "REGEX" },
    });
  });
  afterEach(() => sandbox.idle());
  after(() => sandbox?.[Symbol.asyncDispose]());

  /** @param build with the policy in a file */
  async function checkClient(build: (policyFile: string) => Promise<{ readonly stderr: string }>): Promise<void> {
    const { stderr } = await build(convertFile);
    assert.match(stderr, /it ran/);
    const denied = await build(denyFile).then(
      () => assert.fail("was not denied"),
      (error: Failed) => error.stderr,
    );
    assert.match(
      denied,
      /could not resolve image due to policy: source "docker-image:\/\/example\.com\/base:1" denied by policy/,
    );
    assert.match(denied, />>> FROM example\.com\/base:1/);
  }

  it("buildctl", { skip: !(await installed("buildctl", "--version")) && "buildctl is not on the PATH" }, () =>
    checkClient((file) =>
      run("buildctl", [
        ...["--addr", address, "build", "--progress", "plain", "--frontend", "dockerfile.v0", "--no-cache"],
        ...["--local", `context=${context}`, "--local", `dockerfile=${context}`, "--source-policy-file", file],
      ]),
    ),
  );

  it("docker buildx", {
    skip: !(await installed("docker-buildx", "version")) && "docker-buildx is not on the PATH",
  }, async () => {
    const buildx = (args: readonly string[], file: string) =>
      run("docker-buildx", args, {
        env: {
          ...process.env,
          BUILDX_CONFIG: join(sandbox.root, "buildx"),
          DOCKER_CONFIG: join(sandbox.root, "docker"),
          EXPERIMENTAL_BUILDKIT_SOURCE_POLICY: file,
        },
      });
    await buildx(["create", "--name", "fleet", "--driver", "remote", address], "");
    await checkClient((file) =>
      buildx(["--builder", "fleet", "build", "--progress", "plain", "--no-cache", context], file),
    );
  });

  const buildfleet = (args: readonly string[], env: Record<string, string> = {}) =>
    run(
      process.execPath,
      [launcher, "--addr", address, "build", "--progress", "plain", "--no-cache", ...args, context],
      {
        env: { ...process.env, DOCKER_CONFIG: sandbox.root, ...env },
      },
    );

  it("buildfleet, with a flag", () => checkClient((file) => buildfleet(["--source-policy-file", file])));

  it("buildfleet, with a variable", () =>
    checkClient((file) => buildfleet([], { EXPERIMENTAL_BUILDKIT_SOURCE_POLICY: file })));

  it("buildfleet says what is wrong with a file", async () => {
    const file = join(sandbox.root, "wrong.json");
    await writeFile(file, '{"rules":[{"action":"BAN"}]}');
    await assert.rejects(buildfleet(["--source-policy-file", file]), (error: Failed) => {
      assert.match(
        error.stderr,
        /invalid source policy .*wrong\.json: rules\[0\]\.action: expected one of ALLOW, DENY/,
      );
      return true;
    });
  });
});
