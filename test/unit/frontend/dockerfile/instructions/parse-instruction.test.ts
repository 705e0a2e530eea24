import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  type Command,
  expand,
  expandRaw,
  type Mount,
  parseCommand,
  parseStages,
  type RunCommand,
} from "../../../../../src/frontend/dockerfile/instructions/index.ts";
import { parseDockerfile } from "../../../../../src/frontend/dockerfile/parser/index.ts";
import { envFromList, WordLexer } from "../../../../../src/frontend/dockerfile/shell/index.ts";

const lexer = new WordLexer({ escapeToken: "\\" });
const env = envFromList(["V=value", "N=7"]);
const expander = (word: string) => lexer.processWord(word, env).result;

function parse(text: string) {
  return parseStages(parseDockerfile(Buffer.from(text)));
}

/** The only instruction of a stage. */
function command<K extends Command["kind"]>(kind: K, text: string): Extract<Command, { kind: K }> {
  const [parsed] = parse(`FROM scratch\n${text}\n`).stages[0]?.commands ?? [];
  assert.equal(parsed?.kind, kind);
  return parsed as Extract<Command, { kind: K }>;
}

describe("stages", () => {
  it("collects global arguments, stages and their instructions", () => {
    const { stages, metaArgs } = parse(
      "# V is the version\nARG V=1 W\n# base for all\nFROM --platform=$P img:$V AS Base\nRUN a\nfrom base\nCMD b\n",
    );
    assert.deepEqual(
      metaArgs.map((arg) => arg.args),
      [
        [
          { key: "V", value: "1", docComment: "is the version" },
          { key: "W", docComment: "" },
        ],
      ],
    );
    assert.deepEqual(
      stages.map(({ name, baseName, platform, docComment, commands }) => ({
        name,
        baseName,
        platform,
        docComment,
        kinds: commands.map(({ kind }) => kind),
      })),
      [
        { name: "base", baseName: "img:$V", platform: "$P", docComment: "for all", kinds: ["run"] },
        { name: "", baseName: "base", platform: "", docComment: "", kinds: ["cmd"] },
      ],
    );
  });

  it("gives instructions their source and lines", () => {
    const run = parse("FROM scratch\n# why\nRun a \\\n  b <<E\nx\nE\n").stages[0]?.commands[0];
    assert.equal(run?.name, "Run");
    assert.equal(run?.code, "Run a   b <<E");
    assert.deepEqual(run?.comments, ["why"]);
    assert.deepEqual(
      run?.location.map(({ start }) => start?.line),
      [3, 4, 5, 6],
    );
  });
});

describe("instructions", () => {
  it("reads pairs of ENV and LABEL in both forms", () => {
    assert.deepEqual(command("env", "ENV a=b 'c d'=\"e f\"").env, [
      { key: "a", value: "b", noDelimiter: false },
      { key: "'c d'", value: '"e f"', noDelimiter: false },
    ]);
    assert.deepEqual(command("label", "LABEL a b = c").labels, [{ key: "a", value: "b = c", noDelimiter: true }]);
  });

  it("reads COPY and ADD with flags", () => {
    const copy = command("copy", "COPY --from=b --link --parents=false --exclude=x --exclude=y --chmod=0644 a b /c/");
    assert.deepEqual(
      { from: copy.from, link: copy.link, parents: copy.parents, exclude: copy.excludePatterns, chmod: copy.chmod },
      { from: "b", link: true, parents: false, exclude: ["x", "y"], chmod: "0644" },
    );
    assert.deepEqual(copy.sourcePaths, ["a", "b"]);
    assert.equal(copy.destPath, "/c/");
    const add = command("add", "ADD --unpack=false --checksum=sha256:1 a /");
    assert.equal(add.unpack, false);
    assert.equal(add.keepGitDir, undefined);
    assert.equal(add.checksum, "sha256:1");
  });

  it("reads heredocs of COPY", () => {
    const copy = command("copy", "COPY <<-A <<'B' f /d/\n\t\tx $V\nA\n\ty\nB");
    assert.deepEqual(copy.sourcePaths, ["f"]);
    assert.deepEqual(copy.sourceContents, [
      { path: "A", data: "x $V\n", expand: true },
      { path: "B", data: "\ty\n", expand: false },
    ]);
    const raw = new WordLexer({ escapeToken: "\\", rawQuotes: true, rawEscapes: true });
    const expanded = expandRaw(copy, (text) => raw.processWord(text, env).result);
    assert.deepEqual(
      expanded.sourceContents.map(({ data }) => data),
      ["x value\n", "\ty\n"],
    );
  });

  it("tells shell form from JSON form", () => {
    assert.deepEqual(command("cmd", 'CMD ["a", "b c"]').commandLine, ["a", "b c"]);
    assert.equal(command("cmd", 'CMD ["a"]').prependShell, false);
    const malformed = command("entrypoint", "ENTRYPOINT ['a']");
    assert.deepEqual(malformed.commandLine, ["['a']"]);
    assert.equal(malformed.prependShell, true);
    assert.deepEqual(command("cmd", "CMD []").commandLine, []);
  });

  it("reads HEALTHCHECK", () => {
    const { health } = command("healthcheck", "HEALTHCHECK --interval=1m30.5s --retries=3 CMD curl  x");
    assert.deepEqual(health.test, ["CMD-SHELL", "curl  x"]);
    assert.equal(health.intervalNanos, 90_500_000_000);
    assert.equal(health.retries, 3);
    assert.deepEqual(command("healthcheck", "HEALTHCHECK none").health.test, ["NONE"]);
  });

  it("keeps ONBUILD triggers as source, with their heredocs", () => {
    const { expression } = command("onbuild", "ONBUILD  COPY <<E /x\nhi\nE");
    assert.equal(expression, "COPY <<E /x\nhi\nE");
    const [trigger] = parseDockerfile(Buffer.from(expression)).instructions;
    assert.ok(trigger);
    assert.equal(parseCommand(trigger).kind, "copy");
  });

  it("sorts ports", () => {
    assert.deepEqual(command("expose", "EXPOSE 80 443 22/tcp").ports, ["22/tcp", "443", "80"]);
  });

  it("expands words of instructions which allow it", () => {
    assert.equal(expand(command("workdir", "WORKDIR /a/$V"), expander).path, "/a/value");
    assert.deepEqual(expand(command("arg", "ARG A=$V B"), expander).args, [
      { key: "A", value: "value", docComment: "" },
      { key: "B", docComment: "" },
    ]);
    const copy = expand(command("copy", "COPY --from=$V --chown=$N:$N $V /$V"), expander);
    assert.deepEqual([copy.from, copy.chown, copy.sourcePaths, copy.destPath], ["$V", "7:7", ["value"], "/value"]);
    assert.deepEqual(expand(command("run", "RUN $V"), expander).commandLine, ["$V"]);
  });
});

describe("RUN flags", () => {
  const mount = (flag: string): Mount => {
    const [first] = expand(command("run", `RUN --mount=${flag} true`), expander).mounts;
    assert.ok(first);
    return first;
  };

  it("reads mounts once variables have values", () => {
    assert.deepEqual(mount("from=a,source=/s,target=/t"), {
      type: "bind",
      from: "a",
      source: "/s",
      target: "/t",
      readOnly: true,
      sizeLimitBytes: 0,
      cacheId: "",
      required: false,
    });
    const cache = mount("type=cache,id=$V,dst=/c,sharing=LOCKED,mode=0700,uid=$N");
    assert.deepEqual(
      [cache.cacheId, cache.cacheSharing, cache.mode, cache.uid, cache.readOnly],
      ["value", "locked", 0o700, 7, false],
    );
    assert.equal(mount("type=tmpfs,target=/t,size=1.5KiB").sizeLimitBytes, 1536);
    assert.equal(mount("rw,target=/t").readOnly, false);
    assert.equal(mount("type=secret,id=s,env=").env, "");
  });

  it("knows `from` before that", () => {
    assert.deepEqual(
      command("run", "RUN --mount=from=a,target=$V --mount=type=cache,target=/x true").mounts.map(({ from }) => from),
      ["a", ""],
    );
  });

  it("takes quoted fields", () => {
    assert.equal(mount('\\"target=/a,b\\"').target, "/a,b");
    assert.throws(() => mount('target=/a\\"b'), {
      name: "DockerfileError",
      message:
        'dockerfile parse error on line 2: failed to parse csv mounts: parse error on line 1, column 10: bare " in non-quoted-field',
    });
  });

  it("reads network, security and devices", () => {
    const run: RunCommand = command("run", "RUN --network=none --security=insecure --device=a.b/c=d,required true");
    assert.deepEqual([run.network, run.security], ["none", "insecure"]);
    assert.deepEqual(run.devices, [{ name: "a.b/c=d", required: true }]);
    assert.deepEqual(run.flagsUsed, ["network", "security", "device"]);
  });
});
