import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { BuildError } from "../../../../src/core/errors/build-error.ts";
import { parseIgnoreFile } from "../../../../src/frontend/dockerfile/context/ignore-file.ts";
import { DockerfileError } from "../../../../src/frontend/dockerfile/dockerfile-error.ts";
import { expand, expandRaw, parseStages } from "../../../../src/frontend/dockerfile/instructions/index.ts";
import { detectSyntax, parseDockerfile } from "../../../../src/frontend/dockerfile/parser/index.ts";
import { envFromList, WordLexer } from "../../../../src/frontend/dockerfile/shell/index.ts";

const env = envFromList(["set=value", "empty=", "long=aaaaaaaaaaaaaaaaaaaa"]);

/** Reads a Dockerfile and expands all of it. @returns the error, which is never a fault of our own */
function faultOf(source: Uint8Array): BuildError | undefined {
  try {
    detectSyntax(source);
    const ast = parseDockerfile(source);
    const lexer = new WordLexer({ escapeToken: ast.escapeToken });
    const raw = new WordLexer({ escapeToken: ast.escapeToken, rawQuotes: true, rawEscapes: true });
    for (const stage of parseStages(ast).stages) {
      for (const command of stage.commands) {
        expand(command, (word) => lexer.processWord(word, env).result);
        expandRaw(command, (word) => raw.processWord(word, env).result);
      }
    }
    return undefined;
  } catch (error) {
    assert.ok(error instanceof BuildError, String((error as Error).stack));
    const own = causesOf(error).find((cause) => !(cause instanceof BuildError));
    assert.equal(own, undefined, String((own as Error | undefined)?.stack));
    return error;
  }
}

function causesOf(error: Error): unknown[] {
  return error.cause === undefined ? [] : [error.cause, ...(error.cause instanceof Error ? causesOf(error.cause) : [])];
}

const fault = (text: string) => faultOf(Buffer.from(text));

const instruction = fc.constantFrom(
  ..."ADD ARG CMD COPY ENTRYPOINT ENV EXPOSE FROM HEALTHCHECK LABEL MAINTAINER ONBUILD RUN SHELL STOPSIGNAL USER VOLUME WORKDIR".split(
    " ",
  ),
);
const flag = fc.constantFrom(
  ..."--mount= --mount=type=bind,target= --mount=type=secret,env= --network= --from= --chown= --chmod= --link --exclude= --platform= --interval= --checksum= --parents --".split(
    " ",
  ),
);
const piece = fc.oneof(
  fc.constantFrom(
    ..."$ } :- :+ :? # ## % %% / // ' \" \\ ` <<E <<-'E' E [ ] , = a / .. * ? \0 \u2028 \ud800 é".split(" "),
  ),
  fc.constantFrom(
    " ",
    "\t",
    "\\\n",
    "\n",
    "\r\n",
    "# ",
    '["a"]',
    '["a", 1]',
    `\${set:-\${unset#*}}`,
    `\${long//a*/$set}`,
  ),
  fc.string({ maxLength: 4 }),
);
const line = fc
  .tuple(instruction, fc.array(flag, { maxLength: 2 }), fc.array(piece, { maxLength: 12 }))
  .map(([name, flags, pieces]) => [name, ...flags, pieces.join("")].join(" "));

describe("Dockerfiles of any bytes", () => {
  it("are read, or refused with an error of theirs", () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => void faultOf(bytes)));
    fc.assert(fc.property(fc.array(piece, { maxLength: 40 }), (pieces) => void fault(pieces.join(""))));
  });

  it("that look like Dockerfiles are, and a fault of an instruction names lines", () => {
    fc.assert(
      fc.property(fc.array(line, { minLength: 1, maxLength: 6 }), (lines) => {
        const text = `FROM scratch\n${lines.join("\n")}\n`;
        const error = fault(text);
        if (!(error instanceof DockerfileError)) return;
        const last = text.split("\n").length;
        for (const { start } of error.ranges) assert.ok((start?.line ?? 0) <= last, `line ${start?.line} of ${last}`);
        assert.ok(error.ranges.length > 0, error.message);
      }),
      { numRuns: 1000 },
    );
  });

  it("have ignore files of any bytes beside them", () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => void parseIgnoreFile(bytes)));
    assert.equal(parseIgnoreFile(Buffer.from(`${"../".repeat(100_000)}a\n`)).length, 1);
    assert.equal(parseIgnoreFile(Buffer.from("a**/b\n".repeat(100_000))).length, 100_000);
  });
});

describe("Dockerfiles out of all proportion", () => {
  const nested = (depth: number) => `${`\${a:-`.repeat(depth)}x${"}".repeat(depth)}`;

  it("are refused where substitutions are nested too deep, wherever they stand", () => {
    assert.equal(fault(`FROM scratch\nENV a=${nested(400)}\n`), undefined);
    for (const text of [
      `ENV a=${nested(10_000)}`,
      `COPY ${nested(10_000)} /`,
      `RUN --mount=target=${nested(9000)} x`,
    ]) {
      assert.match(fault(`FROM scratch\n${text}\n`)?.message ?? "", /substitutions are nested more than 499 deep$/);
    }
    const joined = `FROM scratch\nENV a=${`${`\${a:-`.repeat(10_000)}\\\n`.repeat(5)}\n`;
    assert.match(fault(joined)?.message ?? "", /nested more than 499 deep$/);
  });

  it("are refused where variables grow beyond measure", () => {
    const lexer = new WordLexer({ escapeToken: "\\" });
    const grow = (value: string) => lexer.processWord("$a".repeat(10), envFromList([`a=${value}`])).result;
    let value = "a".repeat(10);
    assert.throws(
      () => {
        for (let i = 0; i < 20; i++) value = grow(value);
      },
      { message: /variables expand to more than 64 MiB$/ },
    );
    const replaced = envFromList([`a=${"a".repeat(30_000)}`]);
    assert.throws(() => new WordLexer({ escapeToken: "\\" }).processWord(`\${a//a/${"b".repeat(30_000)}}`, replaced), {
      message: /variables expand to more than 64 MiB$/,
    });
  });

  it("are refused where triggers are chained", () => {
    for (const times of [2, 20, 8000]) {
      const error = fault(`FROM scratch\n${"ONBUILD ".repeat(times)}RUN x\n`);
      assert.equal(
        error?.message,
        "dockerfile parse error on line 2: Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed",
      );
    }
  });

  const many = 100_000;
  for (const [what, text, message] of [
    ["instructions", "USER a\n".repeat(many), undefined],
    ["continuation lines", `RUN a \\\n${"b \\\n".repeat(many)}`, undefined],
    ["comments in a continuation", `RUN a \\\n${"# b\n".repeat(many)}`, undefined],
    ["unknown instructions", "FOO x\n".repeat(many), /^dockerfile parse error on line 2: unknown instruction: FOO/],
    ["heredocs without end", `RUN ${"<<E ".repeat(5000)}\n`, /^unterminated heredoc$/],
    ["brackets", `RUN ${"[".repeat(30_000)}${"]".repeat(30_000)}\n`, /arrays must be comprised of strings only$/],
    ["quotes", `ENV ${"a='b' ".repeat(9000)}\n`, undefined],
    ["wildcards", `ENV b=\${long#${"*a".repeat(15_000)}b}\n`, undefined],
    [
      "digits",
      `HEALTHCHECK --interval=${"9".repeat(60_000)} CMD x\n`,
      /^dockerfile parse error on line 2: time: invalid/,
    ],
    ["bytes in a line", `RUN ${"a".repeat(1 << 20)}\n`, /^dockerfile line greater than max allowed size of 65535$/],
  ] as const) {
    it(`are read or refused: ${what}`, () => {
      const error = fault(`FROM scratch\n${text}`);
      if (message === undefined) assert.equal(error, undefined);
      else assert.match(error?.message ?? "", message);
    });
  }
});
