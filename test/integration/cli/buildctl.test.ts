import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { Definition } from "../../../src/api/gen/ops.ts";
import { image, marshalState } from "../../../src/llb/builder/index.ts";
import { pushOutput, Sandbox } from "../../helpers/sandbox/index.ts";

const run = promisify(execFile);
const dropIn = fileURLToPath(new URL("../../../bin/buildctl.mjs", import.meta.url));
const stock = await run("buildctl", ["--version"]).then(
  () => true,
  () => false,
);

describe("our buildctl", () => {
  let sandbox: Sandbox;
  let address: string;
  let definition: string;
  before(async () => {
    sandbox = await Sandbox.start({ standalone: true });
    address = sandbox.heads[0]?.address ?? "";
    const client = await sandbox.connect();
    const dockerfile = `FROM ${sandbox.image()}\nRUN --mount=type=cache,target=/c echo made > /c/x\n`;
    await client.build({ dockerfile, outputs: [pushOutput(sandbox.image("made:latest"))] });
    await assert.rejects(client.build({ dockerfile: `FROM ${sandbox.image()}\nRUN exit 3\n` }));
    definition = join(sandbox.root, "definition");
    const state = image(sandbox.image()).run({ args: ["echo", "a<b"] });
    await writeFile(definition, Definition.encode(marshalState(state)).finish());
  });
  after(() => sandbox?.[Symbol.asyncDispose]());

  const ours = async (...args: readonly string[]) =>
    (await run(process.execPath, [dropIn, "--addr", address, ...args], { maxBuffer: 2 ** 26 })).stdout;
  const theirs = async (...args: readonly string[]) =>
    (await run("buildctl", ["--addr", address, ...args], { maxBuffer: 2 ** 26 })).stdout;

  it("lists, shows and changes records", async () => {
    const refs = (await ours("debug", "histories", "--format", "{{.Record.Ref}}")).trim().split("\n");
    assert.equal(refs.length, 2);
    const [failed = "", made = ""] = refs;
    assert.match(await ours("debug", "logs", "--progress", "plain", failed), /exit code: 3/);
    await ours("debug", "ctl", "--pin", made);
    assert.match(await ours("debug", "histories"), new RegExp(`${made}\\t.*\\t\\*\\n`));
    const pruned = await ours("prune-histories", "--format", "{{.Record.Ref}}");
    assert.equal(pruned.trim(), failed);
    const digest = (await ours("debug", "histories", "--format", "{{.Record.Logs.Digest}}")).trim();
    assert.match(await ours("debug", "get", digest), /echo made/);
  });

  // One after the other: the daemons' figures change when they are used.
  const commands: readonly (readonly string[])[] = [
    ["du"],
    ["du", "--verbose", "--filter", "type==exec.cachemount"],
    ["du", "--format", "{{json .}}"],
    ["du", "--format", "{{range .}}{{.ID}} {{.Size}} {{.RecordType}}\n{{end}}"],
    ["debug", "workers"],
    ["debug", "workers", "--verbose"],
    ["debug", "workers", "--format", "{{json .}}"],
    [
      "debug",
      "workers",
      "--format",
      "{{range .}}{{range .Platforms}}{{.OS}}/{{.Architecture}}{{if .Variant}}/{{.Variant}}{{end}} {{end}}{{end}}",
    ],
    ["debug", "info"],
    ["debug", "info", "--format", "json"],
    ["debug", "histories"],
    ["debug", "histories", "--format", "{{json .}}"],
    ["debug", "dump-llb", "DEFINITION"],
    ["debug", "dump-llb", "--dot", "DEFINITION"],
    ["prune", "--filter", "type==frontend"],
    ["--wait", "--log-format", "json", "debug", "info"],
  ];
  it("writes what stock buildctl writes", { skip: !stock && "buildctl is not on the PATH" }, async () => {
    for (const command of commands) {
      const args = command.map((arg) => (arg === "DEFINITION" ? definition : arg));
      assert.equal(await ours(...args), await theirs(...args), command.join(" "));
    }
  });

  it("monitors builds", async () => {
    const monitor = execFile(process.execPath, [dropIn, "--addr", address, "debug", "monitor", "--completed"]);
    let text = "";
    await new Promise<void>((resolve, reject) => {
      monitor.once("exit", () => reject(new Error(`ended: ${text}`)));
      monitor.stdout?.on("data", (data) => {
        text += data;
        if (/event: COMPLETE ref:\S+\n {2}cache: \d+\/\d+\n {2}logs: .*sha256:/.test(text)) resolve();
      });
    }).finally(() => monitor.kill());
  });
});
