import { type Logger as Pino, pino } from "pino";
import type { Logger } from "../core/seams/logger.ts";
import { traceFields } from "./span.ts";

export interface PinoLoggerOptions {
  readonly level: "debug" | "info" | "warn" | "error";
  readonly format: "text" | "json";
}

/**
 * Structured log on stderr: one JSON object a line, or `time level message key=value …`. Lines written inside of a span have its
 * `traceId` and `spanId`.
 */
export function createLogger(options: PinoLoggerOptions): Logger {
  const destination =
    options.format === "json"
      ? pino.destination({ dest: 2, sync: true })
      : { write: (line: string) => void process.stderr.write(textLine(line)) };
  const settings = {
    level: options.level,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
    mixin: traceFields,
  };
  return new PinoLogger(pino(settings, destination));
}

class PinoLogger implements Logger {
  readonly #pino: Pino;

  constructor(inner: Pino) {
    this.#pino = inner;
  }

  child(fields: Readonly<Record<string, unknown>>): Logger {
    return new PinoLogger(this.#pino.child(fields));
  }

  debug(message: string, fields: Readonly<Record<string, unknown>> = {}): void {
    this.#pino.debug(fields, message);
  }

  info(message: string, fields: Readonly<Record<string, unknown>> = {}): void {
    this.#pino.info(fields, message);
  }

  warn(message: string, fields: Readonly<Record<string, unknown>> = {}): void {
    this.#pino.warn(fields, message);
  }

  error(message: string, fields: Readonly<Record<string, unknown>> = {}): void {
    this.#pino.error(fields, message);
  }
}

function textLine(line: string): string {
  const { time, level, msg, ...fields } = JSON.parse(line) as Record<string, unknown>;
  const shown = Object.entries(fields).map(([key, value]) => `${key}=${quoted(value)}`);
  return `${[time, String(level).toUpperCase().padEnd(5), msg, ...shown].join(" ")}\n`;
}

function quoted(value: unknown): string {
  const text = typeof value === "string" ? value : JSON.stringify(value);
  return /^[\w./:@+-]+$/.test(text) ? text : JSON.stringify(text);
}
