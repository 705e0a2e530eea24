import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { BuildError } from "../../../src/core/errors/build-error.ts";
import { sha256 } from "../../../src/core/values/digest.ts";
import { parsePlatform } from "../../../src/core/values/platform.ts";
import { defaultImageConfig, patchImageConfig } from "../../../src/exporters/image/image-config.ts";

const bytes = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));
const layer = (name: string, createdAt: number) => ({ diffId: sha256(name), createdAt, description: `made ${name}` });
const patch = (...args: Parameters<typeof patchImageConfig>) =>
  JSON.parse(new TextDecoder().decode(patchImageConfig(...args)));
const base = { architecture: "amd64", os: "linux", config: { Cmd: ["sh"] } };

describe("patchImageConfig", () => {
  it("writes rootfs and history for layers the config does not know", () => {
    const config = patch(bytes(base), undefined, [layer("a", 1000), layer("b", 2000)], undefined, undefined);
    assert.deepEqual(config.rootfs, { type: "layers", diff_ids: [sha256("a"), sha256("b")] });
    assert.deepEqual(config.history, [
      { created: "1970-01-01T00:00:01Z", created_by: "made a", comment: "buildkit.exporter.image.v0" },
      { created: "1970-01-01T00:00:02Z", created_by: "made b", comment: "buildkit.exporter.image.v0" },
    ]);
    assert.equal(config.created, "1970-01-01T00:00:02Z");
    assert.deepEqual(config.config, { Cmd: ["sh"] });
  });

  it("keeps unknown fields and sorts the top level", () => {
    const text = new TextDecoder().decode(
      patchImageConfig(bytes({ ...base, "x.y": { b: 1, a: 2 } }), undefined, [], undefined, undefined),
    );
    assert.deepEqual(Object.keys(JSON.parse(text)), [
      "architecture",
      "config",
      "created",
      "history",
      "os",
      "rootfs",
      "x.y",
    ]);
    assert.match(text, /"x.y":\{"b":1,"a":2\}/);
    assert.match(text, /"rootfs":\{"type":"layers","diff_ids":null\}/);
  });

  it("fills times of metadata commands from the layer beside them", () => {
    const history = [
      { created: "2001-01-01T00:00:00Z", created_by: "base" },
      { created_by: "ENV a=b", empty_layer: true },
      { created_by: "RUN x" },
    ];
    const time = Date.parse("2020-05-05T00:00:00Z");
    const config = patch(
      bytes({ ...base, history }),
      undefined,
      [layer("a", 1), layer("b", time)],
      undefined,
      undefined,
    );
    assert.deepEqual(
      config.history.map((entry: { created: string }) => entry.created),
      ["2001-01-01T00:00:00Z", "2020-05-05T00:00:00Z", "2020-05-05T00:00:00Z"],
    );
  });

  it("clamps times to the epoch but leaves the base image's own entries", () => {
    const old = { created: "2030-01-01T00:00:00Z", created_by: "base" };
    const config = patch(
      bytes({ ...base, created: "2031-01-01T00:00:00Z", history: [old, { created_by: "RUN x" }] }),
      bytes({ ...base, history: [old] }),
      [layer("a", 1), layer("b", Date.parse("2032-01-01T00:00:00Z"))],
      1_700_000_000,
      undefined,
    );
    assert.equal(config.history[0].created, "2030-01-01T00:00:00Z");
    assert.equal(config.history[1].created, "2023-11-14T22:13:20Z");
    assert.equal(config.created, "2023-11-14T22:13:20Z");
  });

  it("escapes as Go does, so that digests agree", () => {
    const text = new TextDecoder().decode(
      patchImageConfig(bytes({ ...base, author: "a<b>&c\u2028" }), undefined, [], undefined, undefined),
    );
    assert.match(text, /"author":"a\\u003cb\\u003e\\u0026c\\u2028"/);
  });

  it("refuses what is no image config", () => {
    for (const [config, message] of [
      ["null", /null image config/],
      ["{", /invalid image config/],
      ['{"architecture":"amd64"}', /missing os/],
      ['{"os":"linux"}', /missing architecture/],
    ] as const) {
      assert.throws(
        () => patchImageConfig(new TextEncoder().encode(config), undefined, [], undefined, undefined),
        (error) => error instanceof BuildError && message.test(error.message),
      );
    }
  });

  it("takes the default config", () => {
    const config = patch(defaultImageConfig(parsePlatform("linux/arm/v6")), undefined, [], undefined, undefined);
    assert.equal(config.variant, "v6");
    assert.equal(config.created, null);
    assert.equal(config.config.WorkingDir, "/");
  });
});
