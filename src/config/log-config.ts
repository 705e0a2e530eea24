export const logLevels = ["debug", "info", "warn", "error"] as const;
export type LogLevel = (typeof logLevels)[number];

export const logFormats = ["text", "json"] as const;
export type LogFormat = (typeof logFormats)[number];

/** How a daemon writes its log, which goes to stderr. */
export interface LogConfig {
  readonly level: LogLevel;
  readonly format: LogFormat;
}
