/** A configuration that makes no sense; the message names file and key, or flag. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
}
