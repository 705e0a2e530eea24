import assert from "node:assert/strict";
import { after, afterEach, before, describe, it } from "node:test";
import { Mount } from "../../../src/api/gen/ops.ts";
import { FileAction, image, type State, scratch } from "../../../src/llb/builder/index.ts";
import { type BuildClient, Sandbox, type SandboxOptions, waitFor } from "../../helpers/sandbox/index.ts";
import { GatewayBuild } from "./gateway-build.ts";

const kinds: readonly (readonly [string, SandboxOptions])[] = [
  ["a standalone daemon", { standalone: true, keepFailed: "0" }],
  ["a fleet", { agents: 2, namespaces: true, keepFailed: "0" }],
];

for (const [kind, options] of kinds) {
  describe(`a frontend looks at failed steps on ${kind}`, () => {
    let sandbox: Sandbox;
    let client: BuildClient;
    let base: State;

    before(async () => {
      sandbox = await Sandbox.start(options);
      client = await sandbox.connect();
      base = image(sandbox.image());
    });
    afterEach(() => sandbox.idle());
    after(() => sandbox?.[Symbol.asyncDispose]());

    /** Ids; who looked from another agent has left a copy there. */
    const kept = async () => {
      const records = await client.control.diskUsage([], AbortSignal.timeout(10_000));
      const left = records.filter(({ Description }) => /^failed mount|fileop target/.test(Description));
      return [...new Set(left.map(({ ID }) => ID))];
    };
    /** Output of a command in a container of these mounts. */
    const look = async (
      build: GatewayBuild,
      root: string,
      script: string,
      mounts: readonly [string, string][] = [],
    ) => {
      const Mounts = mounts.map(([dest, resultID]) => Mount.fromPartial({ dest, resultID }));
      const container = await build.container(root, { Mounts });
      await using processes = build.processes();
      const process = processes.start(container, ["sh", "-c", script]);
      const text = await process.text();
      assert.equal((await process.exit).Code, 0, process.stderr);
      await build.release(container);
      return text;
    };

    it("before and after a command that failed", async () => {
      await using build = new GatewayBuild(client.grpc);
      const source = scratch().file(FileAction.none.mkfile("/source", 0o644, "source"));
      const step = base.run({
        args: ["sh", "-c", "echo half > /half; echo more > /work/more; rm /etc/group; exit 7"],
        mounts: [{ target: "/work", source }],
      });
      const { error, told } = await build.failure(step);
      assert.match(error.message, /did not complete successfully: exit code: 7$/);
      assert.equal(told.op?.exec?.meta.args[0], "sh");
      const [rootBefore = "", workBefore = ""] = told.inputIDs ?? [];
      const [root = "", work = ""] = told.mountIDs ?? [];
      const script = "cat /half /work/more; ls /work /etc/group; true";
      assert.equal(await look(build, root, script, [["/work", work]]), "half\nmore\n/work:\nmore\nsource\n");
      assert.equal(await look(build, rootBefore, script, [["/work", workBefore]]), "/etc/group\n\n/work:\nsource\n");
      // Looking changes nothing.
      await look(build, root, "echo changed > /half");
      assert.equal(await look(build, root, "cat /half"), "half\n");
      assert.equal((await kept()).length, 2);
      await build.finish();
      await waitFor("what the step left to be removed", async () => (await kept()).length === 0);
    });

    it("at the files of an action that failed, and at the input whose files are missing", async () => {
      await using build = new GatewayBuild(client.grpc);
      const root = await build.ref(base);
      const actions = FileAction.none.mkfile("/kept", 0o644, "kept").mkdir("/no/where", 0o755);
      const failed = await build.failure(scratch().file(actions));
      assert.deepEqual([failed.told.inputIDs, failed.told.file], [undefined, { index: "1" }]);
      assert.equal(await look(build, root, "cat /mnt/kept", [["/mnt", failed.told.mountIDs?.[1] ?? ""]]), "kept");

      const context = scratch().file(FileAction.none.mkfile("/there", 0o644, "there"));
      const { told } = await build.failure(base.file(FileAction.none.copy(context, "/missing", "/")));
      assert.deepEqual([told.inputIDs?.length, told.mountIDs, told.cache], [1, undefined, { index: "1" }]);
      assert.equal(await look(build, root, "ls /mnt", [["/mnt", told.inputIDs?.[0] ?? ""]]), "there\n");
    });

    it("of this build only, until its end", async () => {
      await using build = new GatewayBuild(client.grpc);
      const { told } = await build.failure(base.run({ args: ["sh", "-c", "touch /x; exit 1"] }));
      await using other = new GatewayBuild(client.grpc);
      await assert.rejects(other.container(told.mountIDs?.[0] ?? "none"), { message: /no such ref/ });
      await build.finish();
      await waitFor("what the step left to be removed", async () => (await kept()).length === 0);
      await other.finish();
    });
  });
}
