import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { CacheOptions, type Exporter, SolveRequest } from "../../../../src/api/gen/control.ts";
import { solveParams } from "../../../../src/coordinator/front-door/solve-params.ts";
import { Code } from "../../../../src/core/errors/code.ts";

const params = (request: Partial<SolveRequest>) =>
  solveParams({ ...SolveRequest.fromPartial({ Ref: "ref1" }), ...request }, undefined);
const cache = (options: Partial<CacheOptions>) => ({ Cache: { ...CacheOptions.fromPartial({}), ...options } });

describe("solveParams()", () => {
  it("tells client-driven builds from others", () => {
    assert.equal(params({}).clientDriven, true);
    assert.equal(params({ Frontend: "dockerfile.v0" }).clientDriven, false);
    assert.equal(params({ Definition: { def: [], metadata: {}, Source: undefined } }).clientDriven, false);
  });

  it("uses the deprecated exporter only when there is no other", () => {
    const old = { ExporterDeprecated: "local", ExporterAttrsDeprecated: { a: "b" } };
    assert.deepEqual(params(old).exporters, [{ type: "local", attrs: { a: "b" } }]);
    assert.deepEqual(params({ ...old, Exporters: [{ Type: "oci", Attrs: {} }] }).exporters, [
      { type: "oci", attrs: {} },
    ]);
  });

  it("hands SOURCE_DATE_EPOCH to exporters that have none", () => {
    const exporters: Exporter[] = [
      { Type: "oci", Attrs: {} },
      { Type: "tar", Attrs: { "source-date-epoch": "7" } },
    ];
    const epochs = (value: string) =>
      params({ Exporters: exporters, FrontendAttrs: { "build-arg:SOURCE_DATE_EPOCH": value } }).exporters.map(
        (entry) => entry.attrs["source-date-epoch"],
      );
    assert.deepEqual(epochs("1700000000"), ["1700000000", "7"]);
    assert.deepEqual(epochs(""), ["", "7"]);
    assert.deepEqual(epochs("yesterday"), [undefined, "7"]);
  });

  it("folds deprecated cache fields into the lists", () => {
    const { cacheExports, cacheImports } = params(
      cache({
        ExportRefDeprecated: "r.io/a",
        ExportAttrsDeprecated: { mode: "max" },
        ImportRefsDeprecated: ["r.io/b"],
        Imports: [{ Type: "local", Attrs: { src: "x" } }],
      }),
    );
    assert.deepEqual(cacheExports, [
      { type: "registry", attrs: { mode: "max", ref: "r.io/a" }, mode: "max", ignoreError: false },
    ]);
    assert.deepEqual(cacheImports, [
      { type: "local", attrs: { src: "x" } },
      { type: "registry", attrs: { ref: "r.io/b" } },
    ]);
  });

  it("reads mode and ignore-error as BuildKit does", () => {
    const entry = (Attrs: Record<string, string>) => {
      const [only] = params(cache({ Exports: [{ Type: "local", Attrs }] })).cacheExports;
      return [only?.mode, only?.ignoreError];
    };
    assert.deepEqual(entry({}), ["min", false]);
    assert.deepEqual(entry({ mode: "max", "ignore-error": "T" }), ["max", true]);
    assert.deepEqual(entry({ mode: "most", "ignore-error": "yes" }), ["min", false]);
  });

  it("refuses duplicate cache exports, but takes inline twice as once", () => {
    const exports = (...Exports: { Type: string; Attrs: Record<string, string> }[]) => params(cache({ Exports }));
    const registry = (ref: string, more = {}) => ({ Type: "registry", Attrs: { ref, ...more } });
    assert.throws(() => exports(registry("r.io/a"), registry("r.io/a", { mode: "max" })), {
      code: Code.Unknown,
      message: "duplicate cache exports [registry]",
    });
    assert.throws(() => exports({ Type: "s3", Attrs: { a: "1", b: "2" } }, { Type: "s3", Attrs: { b: "2", a: "1" } }), {
      message: "duplicate cache exports [s3]",
    });
    assert.equal(exports(registry("r.io/a"), registry("r.io/b")).cacheExports.length, 2);
    const inline = { Type: "inline", Attrs: {} };
    assert.equal(exports(inline, inline).cacheExports.length, 1);
  });

  it("checks the compatibility version", () => {
    assert.equal(params({}).compatibilityVersion, 30);
    assert.equal(params({ CompatibilityVersion: 10 }).compatibilityVersion, 10);
    assert.throws(() => params({ CompatibilityVersion: 11 }), {
      message: "unsupported compatibility-version 11 (supported: [10 20 30])",
    });
    assert.throws(() => params({ CompatibilityVersion: 40 }), {
      message: "unsupported compatibility-version 40: upgrade buildkit (max supported: 30)",
    });
  });

  for (const Ref of ["", "a b", "a\n", "ü", "x".repeat(257)]) {
    it(`refuses the ref ${JSON.stringify(Ref.slice(0, 10))}`, () =>
      assert.throws(() => params({ Ref }), { code: Code.InvalidArgument }));
  }
});
