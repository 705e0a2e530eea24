import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { BuildError } from "../../../src/core/errors/build-error.ts";
import { type BuildClient, directoryOutput, Sandbox, type TestBuild } from "../../helpers/sandbox/index.ts";

const sourceType = "github.com/moby/buildkit/errdefs.Source+json";

/** Texts as BuildKit 0.32.2 says them, and the lines it marks. */
const refused: readonly (readonly [name: string, build: TestBuild, message: string, lines: readonly number[]])[] = [
  [
    "a platform nobody knows",
    { dockerfile: "FROM --platform=xyz scratch\n" },
    'failed to parse platform xyz: "xyz": unknown operating system or architecture: invalid argument',
    [1, 1],
  ],
  [
    "a platform of too many parts",
    { dockerfile: "FROM --platform=a/b/c/d/e scratch\n" },
    'failed to parse platform a/b/c/d/e: "d/e" is an invalid component of "a/b/c/d/e": platform specifier component must match "^[A-Za-z0-9_.-]+$": invalid argument',
    [1, 1],
  ],
  [
    "a platform for all",
    { dockerfile: "FROM --platform=linux/* scratch\n" },
    'failed to parse platform linux/*: "linux/*": wildcards not yet supported: invalid argument',
    [1, 1],
  ],
  [
    "a flag that is not ASCII",
    { dockerfile: "FROM scratch\nCOPY --from=é a b\n" },
    'failed to parse stage name "Ã©": invalid reference format: repository name (library/Ã©) must be lowercase',
    [2],
  ],
  [
    "a command without words",
    { dockerfile: "FROM scratch\nRUN []\n" },
    "failed to marshal LLB definition: arguments are required",
    [],
  ],
  [
    "a duration without end",
    { dockerfile: `FROM scratch\nHEALTHCHECK --interval=${"9".repeat(20)} CMD x\n` },
    `dockerfile parse error on line 2: time: invalid duration "${"9".repeat(20)}"`,
    [2],
  ],
  [
    "stages in a circle of three",
    {
      dockerfile:
        "FROM scratch AS a\nCOPY --from=c x y\nFROM scratch AS b\nCOPY --from=a x y\nFROM scratch AS c\nCOPY --from=b x y",
    },
    "circular dependency detected on stage: a",
    [2, 6, 4],
  ],
  [
    "a variable that has to be set, three levels down",
    { dockerfile: `FROM scratch\nENV a=\${b:-\${c:-\${d:?deep}}}\n` },
    `failed to process "\${b:-\${c:-\${d:?deep}}}": d: deep`,
    [2],
  ],
  ["a directory with a NUL byte", { dockerfile: "FROM scratch\nWORKDIR a\0b\n" }, "lstat /a\0b: invalid argument", [2]],
  ["a heredoc without end", { dockerfile: "FROM scratch\nRUN <<A <<B\nx\nA\n" }, "unterminated heredoc", [2, 3, 4]],
];

describe("Dockerfiles and contexts that mean harm", () => {
  let sandbox: Sandbox;
  let client: BuildClient;

  before(async () => {
    sandbox = await Sandbox.start({ standalone: true });
    client = await sandbox.connect();
  });
  after(() => sandbox?.[Symbol.asyncDispose]());

  /** The daemon answers, runs nothing, and builds. */
  async function assertHealthy(): Promise<void> {
    assert.equal(sandbox.heads[0]?.process.running, true);
    await client.build({ dockerfile: "FROM scratch\nCOPY a /\n", context: { a: "a" } });
    await sandbox.idle();
  }

  async function failure(build: TestBuild): Promise<BuildError> {
    const error = await client.build(build).then(
      () => assert.fail("did not fail"),
      (error: unknown) => BuildError.from(error),
    );
    await assertHealthy();
    return error;
  }

  for (const [name, build, message, lines] of refused) {
    it(`are refused in BuildKit's words: ${name}`, async () => {
      const error = await failure(build);
      assert.equal(error.message, `failed to solve: ${message}`);
      const marked = error.details
        .filter(({ typeUrl }) => typeUrl === sourceType)
        .flatMap(({ value }) => JSON.parse(Buffer.from(value).toString()).ranges ?? []);
      assert.deepEqual(
        marked.map(({ start }) => start.line),
        lines,
      );
    });
  }

  it("are refused when they would fill the memory", async () => {
    const grow = "ENV a=$a$a$a$a$a$a$a$a$a$a\n".repeat(9);
    assert.match(
      (await failure({ dockerfile: `FROM scratch\nENV a=a\n${grow}` })).message,
      /expand to more than 64 MiB$/,
    );
  });

  it("let others be served while they are converted", async () => {
    const lines = Array.from({ length: 50_000 }, (_, i) => (i % 2 === 0 ? `USER ${i}` : `LABEL l=${i}`));
    let running = true;
    const build = client.build({ dockerfile: `FROM scratch\n${lines.join("\n")}\n` }).finally(() => {
      running = false;
    });
    let answers = 0;
    for (; running; answers++) await client.control.info(AbortSignal.timeout(60_000));
    await build;
    // In one turn of the event loop there would be a few: before and after.
    assert.ok(answers > 20, `${answers} answers`);
    await assertHealthy();
  });

  it("are refused when they nest too deep", async () => {
    const nested = `${`\${a:-`.repeat(10_000)}${"}".repeat(10_000)}`;
    for (const instruction of [`ENV a=${nested}`, `COPY ${nested} /`, `EXPOSE ${nested}`]) {
      assert.match(
        (await failure({ dockerfile: `FROM scratch\n${instruction}\n` })).message,
        /nested more than 499 deep$/,
      );
    }
  });

  it("have names that are hard to read, and keep them", async () => {
    const names = [
      "new\nline",
      'quo"te',
      "quo'te",
      " blank ",
      "back\\slash",
      "$dollar",
      "-dash",
      "*",
      "[a]",
      "\u2028",
      "\x1b[31m",
    ];
    const context = await client.writeContext(Object.fromEntries(names.map((name) => [`d/${name}`, name])));
    const out = join(sandbox.root, "names");
    await client.build({ dockerfile: "FROM scratch\nCOPY d /d\n", context, outputs: [directoryOutput(out)] });
    for (const name of names) assert.equal(await readFile(join(out, "d", name), "utf8"), name);
    await assertHealthy();
  });

  it("have names that are no text, as long as names can be, and of more than files", async () => {
    const context = await client.writeContext({ a: "a", ["n".repeat(255)]: "long" });
    const bytes = Buffer.concat([Buffer.from(context), Buffer.from("/caf\xe9", "latin1")]);
    await writeFile(bytes, "raw");
    execFileSync("mkfifo", [join(context, "pipe")]);
    const out = join(sandbox.root, "raw");
    await client.build({ dockerfile: "FROM scratch\nCOPY . /\n", context, outputs: [directoryOutput(out)] });
    const names = (await readdir(out, { encoding: "buffer" })).map((name) => name.toString("latin1"));
    assert.deepEqual(names.sort(), ["a", "caf\xe9", "n".repeat(255), "pipe"]);
    await assertHealthy();
  });

  it("have ignore files of a hundred thousand patterns", async () => {
    const ignored = Array.from({ length: 100_000 }, (_, i) => `no${i}/x*`).join("\n");
    const out = join(sandbox.root, "ignored");
    const context = { ".dockerignore": `${ignored}\ngone\n`, gone: "", kept: "" };
    await client.build({ dockerfile: "FROM scratch\nCOPY . /\n", context, outputs: [directoryOutput(out)] });
    assert.deepEqual((await readdir(out)).sort(), [".dockerignore", "kept"]);
    await assertHealthy();
  });

  it("have frontend options that make no sense", async () => {
    for (const options of [
      { "cache-imports": "{}" },
      { "cache-imports": "[1]" },
      { target: "x".repeat(100_000) },
      { filename: "a\0b" },
      { platform: "a/b/c/d" },
      { ulimit: "nofile=2:1" },
      { "add-hosts": "a=999.1.1.1" },
    ] as Readonly<Record<string, string>>[]) {
      const error = await failure({ dockerfile: "FROM scratch\nCOPY a /\n", context: { a: "" }, options });
      assert.doesNotMatch(error.message, /is not iterable|undefined|Maximum call stack/);
    }
  });
});
