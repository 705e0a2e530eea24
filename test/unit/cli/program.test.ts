import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { describe, it } from "node:test";
import { createProgram } from "../../../src/cli/program.ts";
import { textTable } from "../../../src/cli/text-table.ts";

async function run(...args: readonly string[]): Promise<{ output: string; error: string | undefined }> {
  let output = "";
  const sink = { write: (text: string) => (output += text) };
  const program = createProgram({
    signal: new AbortController().signal,
    stdin: Readable.from([]),
    stdout: sink,
    stderr: sink,
  });
  try {
    await program.parseAsync(args, { from: "user" });
    return { output, error: undefined };
  } catch (error) {
    return { output, error: (error as Error).message };
  }
}

describe("the command line", () => {
  it("shows help of everything without a daemon", async () => {
    for (const command of ["build", "workers", "du", "prune", "standalone", "coordinator", "agent", "version"]) {
      const { output } = await run(command, "--help");
      assert.match(output, new RegExp(`Usage: buildfleet ${command}`));
      assert.match((await run()).output, new RegExp(`^  ${command}\\b`, "m"));
    }
  });

  for (const [args, message] of [
    [["bild"], /unknown command "bild"/],
    [["build", "--platfrom", "x"], /unknown option '--platfrom'\n\(Did you mean --platform\?\)/],
    [["build", "--progress", "loud", "."], /invalid progress mode "loud"/],
    [["build", "/no/such/dir"], /no such directory: \/no\/such\/dir/],
    [["build"], /empty definition/],
    [["build", "--allow", "root", "."], /unknown entitlement root/],
    [["du", "--format", "xml"], /invalid format "xml"/],
    [["debug", "attach"], /unknown command "attach": see buildfleet debug --help/],
    [["debug", "shell", "--on", "fire"], /--on is "result" or "inputs", not "fire"/],
    [["debug", "shell", "abc", "ls", "/"], /a command comes after "--": buildfleet debug shell abc -- ls \//],
    [["--timeout", "soon", "du"], /--timeout wants a number of seconds/],
    [["--addr", "npipe://host", "du"], /unknown address scheme "npipe:\/\/"/],
    [["--addr", "localhost:1234", "du"], /is no daemon address/],
    [
      ["--addr", "unix:///no/such.sock", "workers"],
      /cannot connect to .*no such socket; is the daemon running there\?/,
    ],
    [["prune", "--reserved-space", "lots"], /invalid size "lots"/],
    [["standalone", "--slots", "-1"], /--slots must be a whole number/],
    [["agent", "--config", "/no/such.toml"], /cannot read \/no\/such\.toml/],
  ] as const) {
    it(`refuses ${args.join(" ")}`, async () => {
      const { error } = await run(...args);
      assert.match(error ?? "", message);
    });
  }

  it("gives up on a peer that never answers", async () => {
    const directory = await mkdtemp(join(tmpdir(), "mute-"));
    const server = createServer();
    try {
      const socket = join(directory, "mute.sock");
      await new Promise<void>((resolve) => server.listen(socket, resolve));
      const { error } = await run("--addr", `unix://${socket}`, "--timeout", "0.1", "workers");
      assert.match(error ?? "", /did not answer within 0\.1 seconds/);
    } finally {
      server.close();
      await rm(directory, { recursive: true, force: true });
    }
  });
});

describe("textTable()", () => {
  it("lines columns up", () => {
    assert.equal(
      textTable([
        ["A", "LONG", "C"],
        ["wide", "b", ""],
      ]),
      "A     LONG  C\nwide  b\n",
    );
  });
});
