import { stat } from "node:fs/promises";
import { resolve } from "node:path";
import { type LayoutManifest, type LayoutName, OciLayout } from "../../client/content/oci-layout.ts";
import type { BuildOutput, CacheOption } from "../../client/index.ts";
import { ContentService, type OfferedLayout, type SessionService } from "../../client/session/index.ts";
import { BuildError } from "../../core/errors/build-error.ts";
import { UsageError } from "../usage-error.ts";
import { parsePairs } from "./parse-pairs.ts";

/** Directories of blobs that a build reads or writes through the session, and what to do with them when it is over. */
export class ContentStores {
  readonly #offered = new Map<string, OfferedLayout>();
  readonly #cacheTargets: { readonly layout: OciLayout; readonly tag: string }[] = [];
  readonly #warn: (text: string) => void;
  #export: OciLayout | undefined;

  /** @param warn told of what the build goes on without */
  constructor(warn: (text: string) => void) {
    this.#warn = warn;
  }

  /** `--oci-layout` */
  async addLayouts(texts: readonly string[]): Promise<void> {
    for (const [name, path] of Object.entries(parsePairs("--oci-layout", texts))) {
      const found = await stat(resolve(path, "index.json")).catch(() => undefined);
      if (found === undefined) throw new UsageError(`--oci-layout: ${path} is no OCI layout: it has no index.json`);
      this.#offered.set(`oci:${name}`, { layout: new OciLayout(resolve(path)), writable: false });
    }
  }

  /**
   * Frontend options in which `oci-layout://name[:tag]` has the digest that the daemon asks for.
   * @throws UsageError when the layout has no such tag
   */
  async withDigests(options: Readonly<Record<string, string>>): Promise<Record<string, string>> {
    const entries = Object.entries(options).map(async ([key, value]): Promise<[string, string]> => {
      const [, name = "", tag = "latest"] = /^oci-layout:\/\/([^:@/]+)(?::([\w.-]+))?$/.exec(value) ?? [];
      const layout = this.#offered.get(`oci:${name}`)?.layout;
      if (!key.startsWith("context:") || layout === undefined) return [key, value];
      const manifest = await layout.find(tag);
      if (manifest === undefined) throw new UsageError(`OCI layout ${name} has no tag ${JSON.stringify(tag)}`);
      return [key, `oci-layout://${name}@${manifest.digest}`];
    });
    return Object.fromEntries(await Promise.all(entries));
  }

  /** `--export-cache type=local` */
  addCacheExport({ type, attributes }: CacheOption): void {
    if (type !== "local") return;
    const { dest = "", tag = "latest" } = attributes;
    if (dest === "") throw new UsageError("local cache exporter requires dest");
    const layout = new OciLayout(resolve(dest));
    this.#offered.set(`local:${dest}`, { layout, writable: true });
    this.#cacheTargets.push({ layout, tag });
  }

  /**
   * `--import-cache type=local`: names the manifest by digest.
   * @returns undefined when there is no such cache, which is no error: a first build has none; or when its index cannot be read
   */
  async resolveCacheImport(option: CacheOption): Promise<CacheOption | undefined> {
    if (option.type !== "local") return option;
    const { src = "", tag = "latest" } = option.attributes;
    if (src === "") throw new UsageError("local cache importer requires src");
    const layout = new OciLayout(resolve(src));
    const digest = option.attributes["digest"] ?? (await this.#findCache(layout, tag, src))?.digest;
    if (digest === undefined) return undefined;
    const id = `local:${src}`;
    if (!this.#offered.has(id)) this.#offered.set(id, { layout, writable: false });
    return { ...option, attributes: { ...option.attributes, digest } };
  }

  async #findCache(layout: OciLayout, tag: string, src: string): Promise<LayoutManifest | undefined> {
    try {
      return await layout.find(tag);
    } catch (error) {
      this.#warn(`warning: local cache import at ${src} left out: ${BuildError.from(error).message}\n`);
      return undefined;
    }
  }

  /** An image output that goes into a directory. */
  addOutput(output: BuildOutput): void {
    if (output.target?.kind !== "layout") return;
    if (this.#export !== undefined) throw new UsageError("only one --output can have tar=false");
    this.#export = new OciLayout(output.target.path);
    this.#offered.set("export", { layout: this.#export, writable: true });
  }

  /** What the session has to serve, if anything. */
  get services(): readonly SessionService[] {
    return this.#offered.size === 0 ? [] : [new ContentService(this.#offered)];
  }

  /** Names what has been written, as the daemon's answer tells. */
  async finish(response: Readonly<Record<string, string>>): Promise<void> {
    const cache = response["cache.manifest"];
    if (cache !== undefined) {
      const manifest = JSON.parse(cache) as LayoutManifest;
      for (const { layout, tag } of this.#cacheTargets) await layout.put(manifest, [{ tag }]);
    }
    const image = response["containerimage.descriptor"];
    if (image === undefined || this.#export === undefined) return;
    const names = response["image.name"]?.split(",").map((name): LayoutName => ({ name })) ?? [{ tag: "latest" }];
    await this.#export.put(JSON.parse(Buffer.from(image, "base64").toString("utf8")) as LayoutManifest, names);
  }
}
