import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { readFile } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { after, afterEach, before, describe, it } from "node:test";
import { promisify } from "node:util";
import { PruneRequest } from "../../../src/api/gen/control.ts";
import { NetMode, SecurityMode } from "../../../src/api/gen/ops.ts";
import { image } from "../../../src/llb/builder/index.ts";
import { type BuildClient, directoryOutput, pushOutput, Sandbox } from "../../helpers/sandbox/index.ts";

const run = promisify(execFile);

for (const snapshotter of ["overlayfs", "native"] as const) {
  describe(`a standalone daemon on ${snapshotter}`, () => {
    let sandbox: Sandbox;
    let client: BuildClient;
    let outputs = 0;
    const outputPath = () => join(sandbox.root, `output-${outputs++}`);

    before(async () => {
      sandbox = await Sandbox.start({
        standalone: true,
        agent: { snapshotter },
        insecureEntitlements: ["network.host", "security.insecure"],
      });
      client = await sandbox.connect();
    });
    afterEach(() => sandbox.idle());
    after(() => sandbox?.[Symbol.asyncDispose]());

    it("builds stages, secrets, caches and mounts", async () => {
      const path = outputPath();
      const done = await client.build({
        dockerfile: `FROM ${sandbox.image("layered:latest")} AS one
COPY --chown=alice one.txt /
RUN --mount=type=secret,id=key --mount=type=cache,target=/cache --mount=type=tmpfs,target=/memory \
  [ "$(cat /run/secrets/key)" = sesame ] && touch /cache/x /memory/y && cat one.txt > /two.txt && rm /data/kept
RUN [ ! -e /memory/y ] && [ ! -e /data/kept ] && [ ! -e /opaque/below ] && echo all is well
FROM scratch
COPY --from=one /two.txt /
`,
        context: { "one.txt": "text" },
        secrets: { key: "sesame" },
        outputs: [directoryOutput(path)],
      });
      assert.match(done.log, /all is well/);
      assert.equal(await readFile(join(path, "two.txt"), "utf8"), "text");
    });

    it("pushes an image and builds on it", async () => {
      const name = sandbox.image(`from-${snapshotter}:latest`);
      const dockerfile = `FROM ${sandbox.image()}\nRUN echo content > /file && rm /etc/group && chmod 4755 /bin/busybox\n`;
      await client.build({ dockerfile, outputs: [pushOutput(name)] });
      const done = await client.build({
        dockerfile: `FROM ${name}\nRUN cat /file && [ ! -e /etc/group ] && stat -c %a /bin/busybox\n`,
      });
      assert.match(done.log, /content\s+4755/);
    });

    it("remembers what it built over a restart", async () => {
      const build = async () => {
        const again = await sandbox.connect();
        const path = outputPath();
        const dockerfile = `FROM ${sandbox.image()}\nRUN cat /proc/sys/kernel/random/uuid > /id\n`;
        await again.build({ dockerfile, outputs: [directoryOutput(path)] });
        return readFile(join(path, "id"), "utf8");
      };
      const first = await build();
      const [head] = sandbox.heads;
      if (head === undefined) throw new Error("no head");
      assert.equal(await head.process.stop("SIGTERM"), "code 0");
      await sandbox.restartHead(head);
      assert.equal(await build(), first);
      await head.process.stop("SIGKILL");
      await sandbox.restartHead(head);
      assert.equal(await build(), first);
      client = await sandbox.connect();
    });

    it("gives privileges only to builds that ask for them", async () => {
      const base = image(sandbox.image());
      const host = base.withNetwork(NetMode.HOST).run({ args: ["true"] });
      const insecure = base.withSecurity(SecurityMode.INSECURE).run({ args: ["sh", "-c", "mount -t tmpfs none /tmp"] });
      await assert.rejects(client.build({ state: host }), /network\.host is not allowed/);
      await assert.rejects(client.build({ state: insecure }), /security\.insecure is not allowed/);
      await client.build({ state: host, entitlements: ["network.host"] });
      await client.build({ state: insecure, entitlements: ["security.insecure"] });
      const sandboxed = base.run({ args: ["sh", "-c", "mount -t tmpfs none /tmp 2>&1"] });
      await assert.rejects(client.build({ state: sandboxed }), /exit code/);
    });

    it("forgets what is pruned", async () => {
      const signal = AbortSignal.timeout(60_000);
      const build = { dockerfile: `FROM ${sandbox.image()}\nRUN echo pruned\n` };
      await client.build(build);
      assert.ok((await client.control.diskUsage([], signal)).length > 0);
      for await (const record of client.control.prune(PruneRequest.fromPartial({ all: true }), signal))
        assert.ok(record.ID);
      assert.deepEqual(await client.control.diskUsage([], signal), []);
      assert.match((await client.build(build)).log, /pruned/);
    });

    const buildctl = findCommand("buildctl");
    it("serves buildctl", { skip: buildctl === undefined && "buildctl is not on the PATH" }, async () => {
      const context = await client.writeContext({ Dockerfile: `FROM ${sandbox.image()}\nRUN echo stock client\n` });
      const args = ["--addr", sandbox.heads[0]?.address ?? "", "build", "--progress", "plain"];
      const build = [
        ...args,
        "--frontend",
        "dockerfile.v0",
        "--local",
        `context=${context}`,
        "--local",
        `dockerfile=${context}`,
      ];
      assert.match((await run(buildctl ?? "", build)).stderr, /stock client/);
    });
  });
}

/** Path of a command, or undefined. */
function findCommand(name: string): string | undefined {
  for (const directory of (process.env["PATH"] ?? "").split(delimiter)) {
    try {
      accessSync(join(directory, name), constants.X_OK);
      return join(directory, name);
    } catch {
      // Not in this one.
    }
  }
  return undefined;
}
