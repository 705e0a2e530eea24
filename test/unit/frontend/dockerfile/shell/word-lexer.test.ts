// biome-ignore-all lint/suspicious/noTemplateCurlyInString: shell syntax is what is tested here
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { envFromList, type LexerOptions, WordLexer } from "../../../../../src/frontend/dockerfile/shell/index.ts";

const env = envFromList([
  "A=old",
  "A=a",
  "EMPTY=",
  "FILE=dir/sub/x.tar.gz",
  "STARS=a*b*c",
  "LINES=one\ntwo",
  "WORDS=x y",
  "NAME=A",
]);

type Case = readonly [word: string, result: string, options?: Partial<LexerOptions>];

function lexer(options: Partial<LexerOptions> = {}): WordLexer {
  return new WordLexer({ escapeToken: "\\", ...options });
}

function table(title: string, cases: readonly Case[]): void {
  describe(title, () => {
    for (const [word, result, options] of cases) {
      it(`${word} ${options === undefined ? "" : JSON.stringify(options)}`, () => {
        assert.equal(lexer(options).processWord(word, env).result, result);
      });
    }
  });
}

table("plain references", [
  ["$A", "a"],
  ["$A_", ""],
  ["${A}_", "a_"],
  ["x$A/y", "xa/y"],
  ["$UNSET|", "|"],
  ["$", "$"],
  ["a$ b", "a$ b"],
  ["$$A", "A"],
  ["$1x", "x"],
  ["$12", ""],
  ["é${A}é", "éaé"],
]);

table("quotes and escapes", [
  ["'$A \\'", "$A \\"],
  ['"$A \' \\" \\$ \\\\ \\n"', "a ' \" $ \\ \\n"],
  ["\\$A\\'\\x", "$A'x"],
  ["x\\", "x"],
  ["`$A\\", "$A\\", { escapeToken: "`" }],
  ["'$A' \"$A\"", "'$A' \"a\"", { rawQuotes: true }],
  ['\\$A "\\$A"', "\\$A \\$A", { rawEscapes: true }],
  ["'$A'", "'a'", { skipProcessQuotes: true }],
  ["a<b << \tc", "a<b << \tc"],
]);

table("defaults and alternatives", [
  ["${UNSET-d}${EMPTY-d}${A-d}", "da"],
  ["${UNSET:-d}${EMPTY:-d}${A:-d}", "dda"],
  ["${UNSET+s}${EMPTY+s}${A+s}", "ss"],
  ["${UNSET:+s}${EMPTY:+s}${A:+s}", "s"],
  ["${A?}${A:?x}", "aa"],
  ["${UNSET:-${UNSET:-$A}}", "a"],
  ["${UNSET:-'a}b'}", "a}b"],
  ["${UNSET:-a\\}b}", "a}b"],
]);

table("patterns", [
  ["${FILE#*/}", "sub/x.tar.gz"],
  ["${FILE##*/}", "x.tar.gz"],
  ["${FILE%.*}", "dir/sub/x.tar"],
  ["${FILE%%.*}", "dir/sub/x"],
  ["${FILE#nomatch}", "dir/sub/x.tar.gz"],
  ["${FILE%/?.*}", "dir/sub"],
  ["${STARS#a\\*}", "b*c"],
  ["${LINES#*}", "one\ntwo"],
  ["${LINES##*}", "\ntwo"],
  ["${FILE/sub/S}", "dir/S/x.tar.gz"],
  ["${FILE//r/R}", "diR/sub/x.taR.gz"],
  ["${FILE/\\//-}", "dir-sub/x.tar.gz"],
  ["${FILE//\\//-}", "dir-sub-x.tar.gz"],
  ["${FILE//[.]/}", "dir/sub/x.tar.gz"],
  ["${FILE/t*r/T}", "dir/sub/x.T.gz"],
  ["${A//a/'$0$$$1'}", "a$"],
  ["${A//x*/-}", "a"],
  ["${A//*/-}", "-"],
  ["${UNSET/a/b}", ""],
]);

table("left in place when unset", [
  ["$UNSET ${UNSET}", "$UNSET ${UNSET}", { skipUnsetEnv: true }],
  ["${UNSET:-d} ${UNSET/a/b}", "${UNSET:-d} ${UNSET/a/b}", { skipUnsetEnv: true }],
  ["$A", "a", { skipUnsetEnv: true }],
]);

describe("word splitting", () => {
  const cases: readonly (readonly [string, readonly string[]])[] = [
    ["a  b\tc", ["a", "b", "c"]],
    ["$WORDS '$WORDS' \"$WORDS\"", ["x", "y", "$WORDS", "x y"]],
    ["a\\ b c", ["a b", "c"]],
    ["<< EOF x", ["<< EOF", "x"]],
    ["$UNSET ''", []],
    // What stands before a default is lost, as in BuildKit.
    ["80${UNSET:-81} 9", ["81", "9"]],
  ];
  for (const [word, words] of cases) {
    it(word, () => assert.deepEqual(lexer().processWords(word, env), words));
  }
});

describe("errors", () => {
  const cases: readonly (readonly [string, string])[] = [
    ["'x", "unexpected end of statement while looking for matching single-quote"],
    ['"x', "unexpected end of statement while looking for matching double-quote"],
    ["${A", "unsupported modifier (\ufffd) in substitution"],
    ["${", "syntax error: missing '}'"],
    ["${}", "syntax error: bad substitution"],
    ["${:-x}", "syntax error: bad substitution"],
    ["${A:-x", "syntax error: missing '}'"],
    ["${A/x}", "syntax error: missing '/' in $" + "{}"],
    ["${A/x/y", "syntax error: missing '}'"],
    ["${A:#x}", "unsupported modifier (:#) in substitution"],
    ["${A:x}", "unsupported modifier (:x) in substitution"],
    ["${A!}", "unsupported modifier (!) in substitution"],
    ["${UNSET?}", "UNSET: is not allowed to be unset"],
    ["${EMPTY:?}", "EMPTY: is not allowed to be empty"],
    ["${UNSET:?give it}", "UNSET: give it"],
    ["${A#\\x}", "invalid pattern (\\x) in substitution: invalid escape '\\x'"],
  ];
  for (const [word, message] of cases) {
    it(word, () => {
      const shown = JSON.stringify(word);
      assert.throws(() => lexer().processWord(word, env), { message: `failed to process ${shown}: ${message}` });
    });
  }
});

describe("names which were looked up", () => {
  it("tells found from missing ones, in order", () => {
    const word = lexer().processWord("$Z ${A:-$IGNORED} '$Q' ${NAME} $B", env);
    assert.deepEqual([...word.matched], ["A", "NAME"]);
    assert.deepEqual([...word.unmatched], ["Z", "IGNORED", "B"]);
  });

  it("keeps its time on hostile patterns", () => {
    const long = envFromList([`X=${"a".repeat(20_000)}`]);
    const pattern = "*a".repeat(50);
    assert.equal(lexer().processWord(`\${X##${pattern}b}`, long).result.length, 20_000);
  });
});
