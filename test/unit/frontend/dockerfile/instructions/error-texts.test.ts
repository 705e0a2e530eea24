import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { DockerfileError } from "../../../../../src/frontend/dockerfile/dockerfile-error.ts";
import { expand, parseStages } from "../../../../../src/frontend/dockerfile/instructions/index.ts";
import { parseDockerfile } from "../../../../../src/frontend/dockerfile/parser/index.ts";
import { emptyEnv, WordLexer } from "../../../../../src/frontend/dockerfile/shell/index.ts";

interface ErrorCase {
  readonly name: string;
  /** `parse`: reading the file fails; `expand`: expanding its only RUN fails. */
  readonly stage: "parse" | "expand";
  readonly dockerfile: string;
  readonly message: string;
  /** Lines which clients mark. */
  readonly lines: readonly number[];
}

const file = new URL("../../../../fixtures/dockerfile/errors.json", import.meta.url);
const cases: readonly ErrorCase[] = JSON.parse(readFileSync(file, "utf8"));

describe("errors of Dockerfiles, as BuildKit reports them", () => {
  for (const { name, stage, dockerfile, message, lines } of cases) {
    it(name, () => {
      const error = stage === "parse" ? parseError(dockerfile) : expandError(dockerfile);
      assert.equal(error.message, message);
      if (error instanceof DockerfileError) {
        const marked = error.ranges.map((range) => range.start?.line ?? 0).filter((line) => line > 0);
        assert.deepEqual(marked, lines);
      }
    });
  }
});

function parseError(dockerfile: string): DockerfileError {
  try {
    parseStages(parseDockerfile(Buffer.from(dockerfile)));
  } catch (error) {
    assert.ok(error instanceof DockerfileError, String(error));
    return error;
  }
  assert.fail("no error");
}

function expandError(dockerfile: string): Error {
  const { stages } = parseStages(parseDockerfile(Buffer.from(dockerfile)));
  const [command] = stages[0]?.commands ?? [];
  assert.ok(command);
  const lexer = new WordLexer({ escapeToken: "\\" });
  try {
    expand(command, (word) => lexer.processWord(word, emptyEnv).result);
  } catch (error) {
    assert.ok(error instanceof Error);
    return error;
  }
  assert.fail("no error");
}
