import { context, type DiagLogger, DiagLogLevel, diag, propagation, trace } from "@opentelemetry/api";
import type { Logger } from "../core/seams/logger.ts";
import { nameService } from "./span-record.ts";
import { type Environment, type TraceExporterSettings, traceExporterSettings } from "./tracing-settings.ts";

export interface TracingOptions {
  /** `OTEL_SERVICE_NAME` wins. */
  readonly serviceName: string;
  /** Of every span of this process, e.g. `service.version`, `host.name`. */
  readonly resource?: Readonly<Record<string, string>>;
  /** Told when spans cannot be sent. */
  readonly logger?: Logger;
}

/** Tracing of this process. Dispose sends what is left (for a few seconds at most) and turns it off. */
export interface Tracing extends AsyncDisposable {
  /** False when the environment forbids tracing: then nothing was loaded and spans cost next to nothing. */
  readonly enabled: boolean;
}

/** A Jaeger agent takes compact thrift here; the exporter speaks binary thrift. */
const jaegerCompactPort = 6831;
/** What a collector that does not answer may cost at the end. */
const shutdownTimeoutMs = 5000;

/**
 * Starts tracing for the whole process as the environment says (`traceExporterSettings`). What BuildKit does not know of,
 * the OpenTelemetry SDK reads from `process.env`: samplers, batching, headers, certificates, resource attributes.
 * @throws BuildError InvalidArgument for settings that cannot be
 */
export async function startTracing(env: Environment, options: TracingOptions): Promise<Tracing> {
  const settings = traceExporterSettings(env);
  const serviceName = env["OTEL_SERVICE_NAME"] || options.serviceName;
  nameService(serviceName);
  if (settings.type === "none") return settings.disabled ? disabled : startRecording();
  const { logger } = options;
  if (logger !== undefined) diag.setLogger(diagLogger(logger), { logLevel: DiagLogLevel.WARN });
  if ("port" in settings && settings.port === jaegerCompactPort) {
    logger?.warn("spans go as binary thrift, which a Jaeger agent expects on port 6832", { port: settings.port });
  }
  // Hundreds of modules: only who traces pays for them. In a bundle a CommonJS package that is loaded late has its default alone.
  const { NodeSDK, resources } = (await import("@opentelemetry/sdk-node")).default;
  const sdk = new NodeSDK({
    serviceName,
    resource: resources.resourceFromAttributes({ ...options.resource }),
    // Not the process detector: command lines may hold what is nobody's business.
    resourceDetectors: [resources.envDetector],
    metricReaders: [],
    logRecordProcessors: [],
    ...(settings.type === "jaeger" ? { traceExporter: await jaegerExporter(settings) } : {}),
  });
  sdk.start();
  let ended: Promise<void> | undefined;
  return {
    enabled: true,
    [Symbol.asyncDispose]: () => {
      ended ??= shutDown(sdk, logger);
      return ended;
    },
  };
}

const disabled: Tracing = { enabled: false, [Symbol.asyncDispose]: async () => {} };

/** Spans go to who listens in this process (`onSpanEnded`), and nowhere else. */
async function startRecording(): Promise<Tracing> {
  const { NodeTracerProvider } = (await import("@opentelemetry/sdk-trace-node")).default;
  new NodeTracerProvider().register();
  return { enabled: true, [Symbol.asyncDispose]: async () => disableApi() };
}

function disableApi(): void {
  trace.disable();
  context.disable();
  propagation.disable();
  diag.disable();
}

async function jaegerExporter(settings: TraceExporterSettings & { readonly type: "jaeger" }) {
  const { JaegerExporter } = (await import("@opentelemetry/exporter-jaeger")).default;
  return new JaegerExporter(
    "endpoint" in settings ? { endpoint: settings.endpoint } : { host: settings.host, port: settings.port },
  );
}

async function shutDown(sdk: { shutdown(): Promise<void> }, logger: Logger | undefined): Promise<void> {
  const timeout = Promise.withResolvers<never>();
  const timer = setTimeout(() => timeout.reject(new Error("the collector does not answer")), shutdownTimeoutMs);
  try {
    await Promise.race([sdk.shutdown(), timeout.promise]);
  } catch (error) {
    logger?.warn("cannot send the last spans", { error: String(error) });
  } finally {
    clearTimeout(timer);
    disableApi();
  }
}

function diagLogger(logger: Logger): DiagLogger {
  const warn = (message: string) => logger.warn("tracing", { detail: message });
  return { error: warn, warn, info: () => {}, debug: () => {}, verbose: () => {} };
}
