export { type EnvLookup, emptyEnv, envFromList } from "./env-lookup.ts";
export { type LexedWord, type LexerOptions, WordLexer } from "./word-lexer.ts";
