import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { encodeTarHeader, paddingBytes, TarType, tarHeader, tarTrailer } from "../../src/archive/tar/index.ts";
import type { ByteString } from "../../src/util/sys/index.ts";

/** One entry of a layer: a file unless it says otherwise. Names are relative, `dir/.wh.name` deletes. */
export interface LayerEntry {
  readonly path: string;
  readonly data?: string | Uint8Array;
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly directory?: true;
  readonly symlink?: string;
  readonly hardLink?: string;
  readonly xattrs?: Readonly<Record<string, string>>;
}

export interface ImageLayer {
  readonly blob: Buffer;
  readonly digest: string;
  readonly diffId: string;
}

export interface ImageConfig {
  readonly Env?: readonly string[];
  readonly Entrypoint?: readonly string[];
  readonly Cmd?: readonly string[];
  readonly User?: string;
  readonly WorkingDir?: string;
  readonly Labels?: Readonly<Record<string, string>>;
}

const mtimeNs = 1_700_000_000_000_000_000n;

/** A gzipped layer of exactly these entries, the same bytes each time. */
export function makeLayer(entries: readonly LayerEntry[]): ImageLayer {
  const parts: Uint8Array[] = [];
  for (const entry of entries) {
    const data = Buffer.from(entry.data ?? "");
    const pax = Object.entries(entry.xattrs ?? {}).map(([name, value]) => [`SCHILY.xattr.${name}`, value]);
    const header = tarHeader({
      name: (entry.directory ? `${entry.path}/` : entry.path) as ByteString,
      type: typeOf(entry),
      mode: entry.mode ?? (entry.directory ? 0o755 : 0o644),
      uid: entry.uid ?? 0,
      gid: entry.gid ?? 0,
      size: data.length,
      linkname: (entry.symlink ?? entry.hardLink ?? "") as ByteString,
      pax: new Map(pax as [ByteString, ByteString][]),
      mtimeNs,
    });
    parts.push(encodeTarHeader(header), data, new Uint8Array(paddingBytes(data.length)));
  }
  const tar = Buffer.concat([...parts, tarTrailer]);
  const blob = gzipSync(tar, { level: 1 });
  return { blob, digest: digestOf(blob), diffId: digestOf(tar) };
}

function typeOf(entry: LayerEntry): string {
  if (entry.directory) return TarType.Directory;
  if (entry.symlink !== undefined) return TarType.Symlink;
  return entry.hardLink === undefined ? TarType.File : TarType.HardLink;
}

export function digestOf(data: Uint8Array): string {
  return `sha256:${createHash("sha256").update(data).digest("hex")}`;
}

/**
 * A root filesystem around the machine's static busybox (Debian's `busybox-static`), with users root, alice (1000) and
 * bob (1001).
 */
export function busyboxEntries(busybox = "/bin/busybox"): LayerEntry[] {
  const directories = ["bin", "dev", "etc", "home", "home/alice", "proc", "root", "sys", "usr", "usr/bin", "usr/local"];
  const applets = execFileSync(busybox, ["--list"], { encoding: "utf8" })
    .trim()
    .split("\n")
    .filter((name) => name !== "busybox");
  return [
    ...[...directories, "usr/local/bin", "var"].map(
      (path): LayerEntry => ({ path, directory: true, ...(path === "home/alice" ? { uid: 1000, gid: 1000 } : {}) }),
    ),
    { path: "tmp", directory: true, mode: 0o1777 },
    { path: "bin/busybox", data: readFileSync(busybox), mode: 0o755 },
    ...applets.map((applet): LayerEntry => ({ path: `bin/${applet}`, symlink: "busybox" })),
    {
      path: "etc/passwd",
      data: "root:x:0:0:root:/root:/bin/sh\nalice:x:1000:1000::/home/alice:/bin/sh\nbob:x:1001:50::/:/bin/sh\n",
    },
    { path: "etc/group", data: "root:x:0:\nwheel:x:10:alice\nstaff:x:50:alice,bob\nalice:x:1000:\n" },
  ];
}

/**
 * Pushes an image to a registry that speaks plain HTTP.
 * @param reference `host:port/name:tag`
 * @returns digest of the manifest
 */
export async function pushImage(
  reference: string,
  layers: readonly ImageLayer[],
  config: ImageConfig = {},
): Promise<string> {
  const [, host, name, tag] = /^([^/]+)\/(.+):([^:]+)$/.exec(reference) ?? [];
  const architecture = process.arch === "x64" ? "amd64" : process.arch;
  const configBlob = Buffer.from(
    JSON.stringify({
      architecture,
      os: "linux",
      config: { Env: ["PATH=/usr/local/bin:/usr/bin:/bin"], ...config },
      rootfs: { type: "layers", diff_ids: layers.map((layer) => layer.diffId) },
      history: layers.map((_, index) => ({ created: "2024-01-01T00:00:00Z", created_by: `layer ${index}` })),
    }),
  );
  const repository = `http://${host}/v2/${name}`;
  await Promise.all([...layers.map((layer) => layer.blob), configBlob].map((blob) => pushBlob(repository, blob)));
  const manifest = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: "application/vnd.oci.image.manifest.v1+json",
      config: descriptor("application/vnd.oci.image.config.v1+json", configBlob, digestOf(configBlob)),
      layers: layers.map((layer) =>
        descriptor("application/vnd.oci.image.layer.v1.tar+gzip", layer.blob, layer.digest),
      ),
    }),
  );
  await send(`${repository}/manifests/${tag}`, "PUT", manifest, "application/vnd.oci.image.manifest.v1+json");
  return digestOf(manifest);
}

function descriptor(mediaType: string, blob: Buffer, digest: string) {
  return { mediaType, digest, size: blob.length };
}

async function pushBlob(repository: string, blob: Buffer): Promise<void> {
  const started = await send(`${repository}/blobs/uploads/`, "POST");
  const location = new URL(started.headers.get("location") ?? "", repository);
  location.searchParams.set("digest", digestOf(blob));
  await send(String(location), "PUT", blob, "application/octet-stream");
}

async function send(url: string, method: string, body?: Buffer, type?: string): Promise<Response> {
  const response = await fetch(url, {
    method,
    ...(body === undefined ? {} : { body: new Uint8Array(body) }),
    headers: type === undefined ? {} : { "content-type": type },
  });
  if (!response.ok) throw new Error(`${method} ${url}: ${response.status} ${await response.text()}`);
  await response.arrayBuffer();
  return response;
}
