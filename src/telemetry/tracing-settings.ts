import { BuildError } from "../core/errors/build-error.ts";
import { Code } from "../core/errors/code.ts";

export type Environment = Readonly<Record<string, string | undefined>>;

export type TraceExporterSettings =
  /** Sent nowhere; `disabled`: not even made. */
  | { readonly type: "none"; readonly disabled?: boolean }
  /** The OTLP exporter itself reads the rest of `OTEL_EXPORTER_OTLP_*`. */
  | { readonly type: "otlp" }
  /** Thrift over UDP to an agent. */
  | { readonly type: "jaeger"; readonly host: string; readonly port: number }
  /** Thrift over HTTP to a collector. */
  | { readonly type: "jaeger"; readonly endpoint: string };

/**
 * Where spans go, by the variables and in the order that BuildKit looks at (util/tracing/detect): what `OTEL_TRACES_EXPORTER`
 * names, else OTLP when it has an endpoint, else Jaeger by `JAEGER_TRACE` and `OTEL_EXPORTER_JAEGER_*`, else nowhere.
 * @throws BuildError InvalidArgument for what cannot be, unless `OTEL_IGNORE_ERROR` is true
 */
export function traceExporterSettings(env: Environment): TraceExporterSettings {
  if (isTrue(env["OTEL_SDK_DISABLED"])) return { type: "none", disabled: true };
  try {
    return detect(env);
  } catch (error) {
    if (isTrue(env["OTEL_IGNORE_ERROR"])) return { type: "none" };
    throw error;
  }
}

/** Where OTLP goes. `http` is protobuf over HTTP, whatever our own spans are encoded in. */
export interface OtlpTarget {
  readonly protocol: "http" | "grpc";
  readonly url: URL;
}

/** The OTLP traces endpoint, as the SDK's exporters find it. @returns undefined unless spans go out as OTLP */
export function otlpTarget(env: Environment): OtlpTarget | undefined {
  if (traceExporterSettings(env).type !== "otlp") return undefined;
  const own = text(env, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT");
  const base = text(env, "OTEL_EXPORTER_OTLP_ENDPOINT");
  if (otlpProtocol(env) === "grpc") {
    const address = own ?? base ?? "localhost:4317";
    return { protocol: "grpc", url: new URL(address.includes("://") ? address : `http://${address}`) };
  }
  if (own !== undefined) return { protocol: "http", url: new URL(own) };
  return { protocol: "http", url: new URL(`${(base ?? "http://localhost:4318").replace(/\/$/, "")}/v1/traces`) };
}

/** Headers for the traces endpoint, `name=value` pairs with percent-encoded values (OTLP exporter specification). */
export function otlpHeaders(env: Environment): Readonly<Record<string, string>> {
  const headers: Record<string, string> = {};
  for (const name of ["OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS"]) {
    for (const pair of (env[name] ?? "").split(",")) {
      const at = pair.indexOf("=");
      if (at > 0) headers[pair.slice(0, at).trim().toLowerCase()] = decodeURIComponent(pair.slice(at + 1).trim());
    }
  }
  return headers;
}

function detect(env: Environment): TraceExporterSettings {
  const named = text(env, "OTEL_TRACES_EXPORTER");
  switch (named) {
    case "none":
      return { type: "none" };
    case "otlp":
      return otlp(env);
    case "jaeger":
      return jaeger(env);
    case undefined:
      break;
    default:
      throw invalid(`unsupported opentelemetry exporter ${named}`);
  }
  if (text(env, "OTEL_EXPORTER_OTLP_ENDPOINT") ?? text(env, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")) return otlp(env);
  const forJaeger = ["JAEGER_TRACE", "OTEL_EXPORTER_JAEGER_AGENT_HOST", "OTEL_EXPORTER_JAEGER_ENDPOINT"];
  return forJaeger.some((name) => text(env, name) !== undefined) ? jaeger(env) : { type: "none" };
}

function otlp(env: Environment): TraceExporterSettings {
  const protocol = otlpProtocol(env);
  if (protocol !== "grpc" && protocol !== "http/protobuf" && protocol !== "http/json") {
    throw invalid(`unsupported otlp protocol ${protocol}`);
  }
  return { type: "otlp" };
}

/** The specification's default, not BuildKit's `grpc`. */
function otlpProtocol(env: Environment): string {
  return text(env, "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") ?? text(env, "OTEL_EXPORTER_OTLP_PROTOCOL") ?? "http/protobuf";
}

function jaeger(env: Environment): TraceExporterSettings {
  const given = text(env, "JAEGER_TRACE");
  if (given !== undefined) return /^https?:\/\//.test(given) ? { type: "jaeger", endpoint: given } : agent(given);
  const endpoint = text(env, "OTEL_EXPORTER_JAEGER_ENDPOINT");
  if (endpoint !== undefined) return { type: "jaeger", endpoint };
  const host = text(env, "OTEL_EXPORTER_JAEGER_AGENT_HOST") ?? text(env, "OTEL_EXPORTER_JAEGER_HOST") ?? "localhost";
  const port = text(env, "OTEL_EXPORTER_JAEGER_AGENT_PORT") ?? text(env, "OTEL_EXPORTER_JAEGER_PORT") ?? "6832";
  return agent(host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`);
}

function agent(address: string): TraceExporterSettings {
  const match = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(address);
  const port = Number(match?.[3]);
  if (match === null || port < 1 || port > 65535) {
    throw invalid(`invalid Jaeger agent ${JSON.stringify(address)}: expected host:port or an http URL`);
  }
  return { type: "jaeger", host: match[1] ?? match[2] ?? "", port };
}

function text(env: Environment, name: string): string | undefined {
  const value = env[name]?.trim();
  return value === "" ? undefined : value;
}

function isTrue(value: string | undefined): boolean {
  return /^(1|t|true)$/i.test(value?.trim() ?? "");
}

function invalid(message: string): BuildError {
  return new BuildError(Code.InvalidArgument, message);
}
