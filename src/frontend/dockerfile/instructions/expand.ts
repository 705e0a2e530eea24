import type { Command, WordExpander } from "./types.ts";

/** The instruction with its words expanded (instructions which expand nothing come back as they are). RUN: parses its mounts. */
export function expand<C extends Command>(_command: C, _expander: WordExpander): C {
  throw new Error("to follow");
}

/** COPY and ADD: heredoc bodies expanded, quotes and escapes untouched; others come back as they are. */
export function expandRaw<C extends Command>(_command: C, _expander: WordExpander): C {
  throw new Error("to follow");
}
