import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import type { SourceMeta } from "../../../../../src/core/seams/llb-bridge.ts";
import type { Digest } from "../../../../../src/core/values/digest.ts";
import type { Platform } from "../../../../../src/core/values/platform.ts";
import { formatPlatform } from "../../../../../src/core/values/platform.ts";
import { DockerfileFrontend } from "../../../../../src/frontend/index.ts";
import { FakeLlbBridge } from "../../../../helpers/fake-llb-bridge.ts";
import { normalizeLlb } from "../../../../helpers/normalize-llb.ts";

const fixtures = join(import.meta.dirname, "../../../../fixtures/dockerfile/convert");
const { signal } = new AbortController();

interface Images {
  readonly [name: string]: { readonly digest: Digest; readonly configs: Readonly<Record<string, object>> };
}

interface Expected {
  readonly names: readonly string[];
  readonly warnings: readonly { readonly short: string; readonly lines: readonly string[] }[];
  readonly config: Readonly<Record<string, object>>;
  readonly history: Readonly<Record<string, readonly object[]>>;
}

const readJson = <T>(...path: string[]): T => JSON.parse(readFileSync(join(fixtures, ...path), "utf8"));
const images = readJson<Images>("images.json");

function resolveImage(identifier: string, platform: Platform | undefined): SourceMeta | undefined {
  const name = /^docker-image:\/\/docker\.io\/library\/(\w+):gdf$/.exec(identifier)?.[1] ?? "";
  const image = images[name];
  const config = image?.configs[platform === undefined ? "linux/amd64" : formatPlatform(platform)];
  if (image === undefined || config === undefined) return undefined;
  const source = { identifier, attrs: {} };
  return { source, image: { digest: image.digest, config: Buffer.from(JSON.stringify(config)) } };
}

async function solve(id: string, more: Readonly<Record<string, string>>) {
  const directory = join(fixtures, id);
  const locals = Object.fromEntries(
    readdirSync(directory, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => [entry.name, join(directory, entry.name)]),
  );
  const bridge = new FakeLlbBridge({
    locals: { context: join(directory, "context"), ...locals, dockerfile: directory },
    resolve: ({ identifier }, platform) => resolveImage(identifier, platform),
  });
  const opts = { ...readJson<Record<string, string>>(id, "opts.json"), ...more };
  const result = await new DockerfileFrontend().solve(bridge, opts, {}, signal);
  const text = (key: string) => Buffer.from(result.metadata.get(key) ?? []).toString();
  return { bridge, result, text };
}

describe("DockerfileFrontend gives what BuildKit v0.32.2 gives for", () => {
  for (const id of readdirSync(fixtures).filter((name) => !name.endsWith(".json"))) {
    const expected = readJson<Expected>(id, "expected.json");

    it(`${id}: image configs and history`, async () => {
      const { result, text } = await solve(id, {});
      for (const [platform, config] of Object.entries(expected.config)) {
        const suffix = result.refs === undefined ? "" : `/${platform}`;
        const { rootfs: _, history, ...got } = JSON.parse(text(`containerimage.config${suffix}`));
        assert.deepEqual(got, config);
        assert.deepEqual(history, expected.history[platform]);
      }
    });

    it(`${id}: vertex names and warnings`, async () => {
      const { bridge } = await solve(id, {});
      const names = [...bridge.vertexNames()].filter((name) => name.startsWith("["));
      assert.deepEqual(names.sort(), expected.names.filter((name) => !name.startsWith("[auth]")).toSorted());
      const warnings = bridge.warnings.map(({ short, ranges = [] }) => ({
        short,
        lines: ranges.map(({ start }) => String(start?.line)),
      }));
      assert.deepEqual(
        warnings.toSorted((a, b) => (a.short < b.short ? -1 : 1)),
        expected.warnings.map(({ short, lines }) => ({ short, lines })),
      );
    });

    if (!existsSync(join(fixtures, id, "llb.json"))) continue;
    it(`${id}: LLB, by byte where no session takes part`, async () => {
      const { text } = await solve(id, { requestid: "frontend.convertllb" });
      const ops = normalizeLlb(JSON.parse(text("result.json")));
      assert.deepEqual(withMetadata(ops), withMetadata(readJson<object[]>(id, "llb.json")));
    });
  }
});

/** The recordings leave out empty metadata. */
function withMetadata(ops: readonly object[]): unknown {
  return ops.map((op) => ({ meta: {}, ...op }));
}
