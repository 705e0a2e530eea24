import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { otlpHeaders, otlpTarget, traceExporterSettings } from "../../../src/telemetry/tracing-settings.ts";

const endpoint = { OTEL_EXPORTER_OTLP_ENDPOINT: "http://collector:4318" };

describe("traceExporterSettings", () => {
  const cases = [
    ["nothing set", {}, { type: "none" }],
    ["empty values", { JAEGER_TRACE: "", OTEL_TRACES_EXPORTER: " " }, { type: "none" }],
    ["an OTLP endpoint", endpoint, { type: "otlp" }],
    ["an OTLP traces endpoint", { OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: "http://collector/x" }, { type: "otlp" }],
    ["OTLP by name", { OTEL_TRACES_EXPORTER: "otlp" }, { type: "otlp" }],
    ["none by name beside an endpoint", { ...endpoint, OTEL_TRACES_EXPORTER: "none" }, { type: "none" }],
    ["the SDK turned off", { ...endpoint, OTEL_SDK_DISABLED: "true" }, { type: "none", disabled: true }],
    ["a Jaeger agent", { JAEGER_TRACE: "127.0.0.1:6832" }, { type: "jaeger", host: "127.0.0.1", port: 6832 }],
    ["a Jaeger agent over IPv6", { JAEGER_TRACE: "[::1]:6832" }, { type: "jaeger", host: "::1", port: 6832 }],
    [
      "a Jaeger collector",
      { JAEGER_TRACE: "http://jaeger:14268/api/traces" },
      { type: "jaeger", endpoint: "http://jaeger:14268/api/traces" },
    ],
    ["OTLP before Jaeger when both are set", { ...endpoint, JAEGER_TRACE: "127.0.0.1:6832" }, { type: "otlp" }],
    [
      "Jaeger by name before OTLP",
      { ...endpoint, OTEL_TRACES_EXPORTER: "jaeger", JAEGER_TRACE: "127.0.0.1:6832" },
      { type: "jaeger", host: "127.0.0.1", port: 6832 },
    ],
    ["Jaeger by name alone", { OTEL_TRACES_EXPORTER: "jaeger" }, { type: "jaeger", host: "localhost", port: 6832 }],
    [
      "OTEL_EXPORTER_JAEGER_AGENT_*",
      { OTEL_EXPORTER_JAEGER_AGENT_HOST: "agent", OTEL_EXPORTER_JAEGER_AGENT_PORT: "1234" },
      { type: "jaeger", host: "agent", port: 1234 },
    ],
    [
      "OTEL_EXPORTER_JAEGER_ENDPOINT",
      { OTEL_EXPORTER_JAEGER_ENDPOINT: "https://jaeger/api" },
      { type: "jaeger", endpoint: "https://jaeger/api" },
    ],
  ] as const;
  for (const [what, env, expected] of cases) {
    it(`takes ${what}`, () => assert.deepEqual(traceExporterSettings(env), expected));
  }

  for (const [env, message] of [
    [{ OTEL_TRACES_EXPORTER: "zipkin" }, "unsupported opentelemetry exporter zipkin"],
    [{ ...endpoint, OTEL_EXPORTER_OTLP_PROTOCOL: "carrier-pigeon" }, "unsupported otlp protocol carrier-pigeon"],
    [{ JAEGER_TRACE: "6832" }, 'invalid Jaeger agent "6832": expected host:port or an http URL'],
    [{ JAEGER_TRACE: "host:70000" }, 'invalid Jaeger agent "host:70000": expected host:port or an http URL'],
  ] as const) {
    it(`refuses ${JSON.stringify(env)}`, () => {
      assert.throws(() => traceExporterSettings(env), { message });
      assert.deepEqual(traceExporterSettings({ ...env, OTEL_IGNORE_ERROR: "1" }), { type: "none" });
    });
  }
});

describe("otlpTarget", () => {
  const targets = [
    ["appends the path to the general endpoint", endpoint, "http http://collector:4318/v1/traces"],
    [
      "keeps the general endpoint's own path",
      { OTEL_EXPORTER_OTLP_ENDPOINT: "http://collector/base/" },
      "http http://collector/base/v1/traces",
    ],
    [
      "takes the traces endpoint as it is",
      { ...endpoint, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: "http://other/traces" },
      "http http://other/traces",
    ],
    ["has a default", { OTEL_TRACES_EXPORTER: "otlp" }, "http http://localhost:4318/v1/traces"],
    ["appends nothing for gRPC", { ...endpoint, OTEL_EXPORTER_OTLP_PROTOCOL: "grpc" }, "grpc http://collector:4318/"],
    [
      "takes host and port for gRPC",
      { OTEL_EXPORTER_OTLP_ENDPOINT: "collector:4317", OTEL_EXPORTER_OTLP_PROTOCOL: "grpc" },
      "grpc http://collector:4317/",
    ],
  ] as const;
  for (const [what, env, expected] of targets) {
    it(what, () => {
      const target = otlpTarget(env);
      assert.equal(`${target?.protocol} ${target?.url.href}`, expected);
    });
  }

  it("is nothing where spans go elsewhere", () => {
    assert.equal(otlpTarget({}), undefined);
    assert.equal(otlpTarget({ JAEGER_TRACE: "127.0.0.1:6832" }), undefined);
  });
});

describe("otlpHeaders", () => {
  it("decodes pairs; those for traces win", () => {
    const headers = otlpHeaders({
      OTEL_EXPORTER_OTLP_HEADERS: "Api-Key=a%20b, x=1,broken",
      OTEL_EXPORTER_OTLP_TRACES_HEADERS: "x=2",
    });
    assert.deepEqual(headers, { "api-key": "a b", x: "2" });
  });
});
