import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { DockerfileError } from "../../../../../src/frontend/dockerfile/dockerfile-error.ts";
import { detectSyntax, findDirective, parseDockerfile } from "../../../../../src/frontend/dockerfile/parser/index.ts";

const parse = (text: string) => parseDockerfile(Buffer.from(text));
const lines = (text: string) =>
  parse(text).instructions.map(({ original, startLine, endLine }) => [original, startLine, endLine]);

describe("lines", () => {
  it("joins continuations, leaving comments out", () => {
    assert.deepEqual(lines("FROM a\nRUN b \\\n# no\n  # no\n  c\\\nd \\  \n\te\n"), [
      ["FROM a", 1, 1],
      ["RUN b   cd \te", 2, 7],
    ]);
  });

  it("does not continue after an escaped escape token", () => {
    assert.deepEqual(lines("RUN a\\\\\nRUN b"), [
      ["RUN a\\\\", 1, 1],
      ["RUN b", 2, 2],
    ]);
  });

  it("takes CRLF and a byte order mark", () => {
    assert.deepEqual(lines("\ufeffFROM a\r\nRUN b \\\r\n c\r\n"), [
      ["FROM a", 1, 1],
      ["RUN b  c", 2, 3],
    ]);
  });

  it("warns about empty lines in a continuation", () => {
    const { warnings } = parse("FROM a\nRUN b \\\n\n \t\n c\n");
    assert.equal(warnings.length, 1);
    assert.equal(warnings[0]?.short, "Empty continuation line found in: RUN b  c");
    assert.equal(warnings[0]?.location.start?.line, 5);
  });

  it("limits the length of a line", () => {
    const most = `RUN ${"é".repeat(32765)}x`;
    assert.equal(parse(`${most}\n`).instructions.length, 1);
    assert.throws(() => parse(`FROM a\n${most}y\n`), {
      message: "dockerfile line greater than max allowed size of 65535",
      ranges: [{ start: { line: 1, character: 0 }, end: { line: 1, character: 0 } }],
    });
  });

  it("collects the comments above an instruction", () => {
    const { instructions } = parse("# syntax=x\n# one\n#\n# two\n\n#three\nFROM a\nRUN b");
    assert.deepEqual(
      instructions.map(({ comments }) => comments),
      [["two", "three"], []],
    );
  });

  it("takes time in proportion to the length of lines", () => {
    const gap = " ".repeat(65_000);
    for (const line of [`# check=a${gap}b`, `RUN a${gap}b`, `RUN a <<${gap}<`, `COPY${gap}a b`, `ENV a=${gap}b=c`]) {
      parse(`${line}\nFROM a\n`);
    }
  });

  it("fails only with a DockerfileError, whatever the text", () => {
    const piece = fc.constantFrom(
      "FROM a",
      "RUN <<E",
      "E",
      "\\",
      "`",
      "\n",
      "\r\n",
      "# escape=`\n",
      '"',
      "'",
      "$",
      "{",
      " ",
      "--",
      "=",
      "[",
      "]",
      "COPY",
      "ONBUILD ",
      "ENV ",
    );
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string({ unit: "binary" }),
          fc.array(piece).map((parts) => parts.join("")),
        ),
        (text) => {
          try {
            const { instructions } = parse(text);
            for (const { startLine, endLine } of instructions) assert.ok(0 < startLine && startLine <= endLine);
          } catch (error) {
            if (!(error instanceof DockerfileError)) throw error;
          }
        },
      ),
    );
  });
});

describe("directives", () => {
  it("changes the escape token", () => {
    const ast = parse("# escape=`\nFROM a\nRUN b `\n c\\\n");
    assert.equal(ast.escapeToken, "`");
    assert.equal(ast.instructions[1]?.original, "RUN b  c\\");
  });

  it("counts only before anything else", () => {
    assert.equal(parse("# hello\n# escape=`\nFROM a").escapeToken, "\\");
    assert.equal(parse("\n# escape=`\nFROM a").escapeToken, "\\");
    assert.equal(parse("# unknown=1\n# escape=`\nFROM a").escapeToken, "\\");
    assert.equal(parse("#Syntax = x\n  # ESCAPE=`\nFROM a").escapeToken, "`");
  });

  it("finds values", () => {
    const source = Buffer.from("# syntax=a/b:1 --x\n# check=skip=all\nFROM a\n");
    const found = findDirective("check", source);
    assert.equal(found?.value, "skip=all");
    assert.equal(found?.location[0]?.start?.line, 2);
    assert.equal(detectSyntax(source)?.commandLine, "a/b:1 --x");
  });
});

describe("syntax detection", () => {
  const cases: readonly (readonly [string, string | undefined, number | undefined])[] = [
    ["#syntax=a b\n", "a", 1],
    ["\ufeff# syntax = a\r\n", "a", 1],
    ["#!/usr/bin/env x\n# syntax=a\n", "a", 2],
    ["// syntax=a\n", "a", 1],
    ["// other\n// syntax=a\n", undefined, undefined],
    ['{"x":1,"syntax":"a b"}', "a b", 0],
    ['#!x\n{"syntax":"a"}', "a", 1],
    ['{"syntax":1}', undefined, undefined],
    ['["syntax"]', undefined, undefined],
    ["FROM a\n# syntax=a\n", undefined, undefined],
    ["# syntax=a\n# syntax=b\n", "a", 1],
  ];
  for (const [text, value, line] of cases) {
    it(JSON.stringify(text), () => {
      const found = detectSyntax(Buffer.from(text));
      assert.equal(found?.value, value);
      assert.equal(found?.location[0]?.start?.line, line);
    });
  }
});

describe("heredocs", () => {
  const bodies = (text: string) => parse(text).instructions.map(({ heredocs }) => heredocs);

  it("reads several of a line in order", () => {
    assert.deepEqual(bodies("RUN <<A cat 3<<-'B' \nx\nA\n\ty\n\tB\nRUN c"), [
      [
        { name: "A", fileDescriptor: 0, expand: true, chomp: false, content: "x\n" },
        { name: "B", fileDescriptor: 3, expand: false, chomp: true, content: "\ty\n" },
      ],
      [],
    ]);
  });

  it("keeps line ends and comments of the body", () => {
    assert.equal(bodies("COPY <<E /x\r\n# a\r\n\\\r\nE\r\n")[0]?.[0]?.content, "# a\r\n\\\r\n");
  });

  it("belongs to RUN, COPY and ADD, also in ONBUILD, not to their JSON form", () => {
    const counts = (text: string) => bodies(text).map((found) => found.length);
    assert.deepEqual(counts("ONBUILD ADD <<E /x\nE\n"), [1]);
    assert.deepEqual(counts('RUN ["<<E"]\nCMD <<E\n'), [0, 0]);
    assert.deepEqual(counts("RUN '<<E' \\<<E a<<\n"), [0]);
  });
});

describe("words", () => {
  const args = (text: string) => parse(text).instructions[0]?.args;

  it("splits the way the instruction asks for", () => {
    assert.deepEqual(args("ENV a='b c' d=e\\ f"), ["a", "'b c'", "=", "d", "e\\ f", "="]);
    assert.deepEqual(args('ARG a b="c d"'), ["a", 'b="c d"']);
    assert.deepEqual(args("COPY a  b"), ["a", "b"]);
    assert.deepEqual(args('COPY ["a b", "c"]'), ["a b", "c"]);
    assert.deepEqual(args("RUN a  b"), ["a  b"]);
    assert.deepEqual(args("HEALTHCHECK CMD  a  b"), ["CMD", "a  b"]);
    assert.deepEqual(args("ONBUILD COPY a b"), ["COPY", "a", "b"]);
  });

  it("takes flags off the front", () => {
    const [node] = parse('RUN --mount=\'a b\' --x="c\\"d" -- --not').instructions;
    assert.deepEqual(node?.flags, ["--mount=a b", '--x=c"d']);
    assert.deepEqual(node?.args, ["--not"]);
  });

  it("takes each byte of a flag for a character", () => {
    const [node] = parse("COPY --chown=ü ü b").instructions;
    assert.deepEqual(node?.flags, ["--chown=Ã¼"]);
    assert.deepEqual(node?.args, ["ü", "b"]);
    // The second byte of this one is a blank.
    assert.deepEqual(parse("COPY --from=xà --link a b").instructions[0]?.flags, ["--from=xÃ", "--link"]);
  });
});
