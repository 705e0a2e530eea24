import { type Logger, silentLogger } from "../../src/core/seams/logger.ts";

/** A logger, and the warnings it was given: message and fields. */
export function collectWarnings(): {
  readonly logger: Logger;
  readonly warnings: { readonly message: string; readonly [field: string]: unknown }[];
} {
  const warnings: { message: string; [field: string]: unknown }[] = [];
  const logger: Logger = {
    ...silentLogger,
    warn: (message, fields) => void warnings.push({ message, ...fields }),
    child: () => logger,
  };
  return { logger, warnings };
}
