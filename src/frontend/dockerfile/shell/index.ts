export { type EnvLookup, envFromList, type LexedWord, type LexerOptions, WordLexer } from "./word-lexer.ts";
