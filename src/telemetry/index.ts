export { createLogger, type PinoLoggerOptions } from "./pino-logger.ts";
