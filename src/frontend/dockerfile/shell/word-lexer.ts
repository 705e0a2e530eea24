import type { EscapeToken } from "../parser/ast.ts";

/** Variables by name, in order of definition. */
export interface EnvLookup {
  get(name: string): string | undefined;
  keys(): readonly string[];
}

export interface LexerOptions {
  readonly escapeToken: EscapeToken;
  /** Keep quotes in the result. */
  readonly rawQuotes?: boolean;
  /** Keep escape tokens in the result. */
  readonly rawEscapes?: boolean;
  /** Quotes are ordinary characters. */
  readonly skipProcessQuotes?: boolean;
  /** Leave references to unset variables as they are. */
  readonly skipUnsetEnv?: boolean;
}

export interface LexedWord {
  readonly result: string;
  readonly words: readonly string[];
  /** Names looked up and found. */
  readonly matched: ReadonlySet<string>;
  /** Names looked up and not found. */
  readonly unmatched: ReadonlySet<string>;
}

/** Word splitting and variable expansion; errors are BuildErrors `failed to process "word": …`. */
export class WordLexer {
  constructor(_options: LexerOptions) {
    throw new Error("to follow");
  }

  /** Expands; blanks stay as they are. */
  processWord(_word: string, _env: EnvLookup): LexedWord {
    throw new Error("to follow");
  }

  /** Expands, then splits at blanks outside quotes. */
  processWords(_word: string, _env: EnvLookup): readonly string[] {
    throw new Error("to follow");
  }
}

/** Lookup over `KEY=value` entries; the last entry of a key wins. */
export function envFromList(_entries: readonly string[]): EnvLookup {
  throw new Error("to follow");
}
