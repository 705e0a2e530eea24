import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { gunzipSync, gzipSync } from "node:zlib";

/**
 * Images for a machine without a way to Docker Hub, made of the static busybox and a few programs of this machine, written
 * straight into the file layout of the `distribution` registry (which is also what makes them need no running registry).
 */
export function writeOfflineImages(registryRoot: string): void {
  const registry = new RegistryFiles(registryRoot);
  const busybox = layer((root) => busyboxTree(root, "hardlink"));
  const alpine = layer(alpineTree);
  const marker = layer((root) => writeFileSync(join(root, "marker"), "foreign\n"));
  const plainMarker = {
    ...marker,
    bytes: gunzipSync(marker.bytes),
    mediaType: "application/vnd.docker.image.rootfs.diff.tar",
  };
  const shell = { Env: ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"], Cmd: ["sh"] };

  registry.addImage("library/busybox", "latest", [busybox], shell);
  registry.addImage("library/busybox", "stable-musl", [busybox], shell);
  registry.addImage("library/busybox_amd64", "latest", [busybox], shell);
  for (const tag of ["latest", "3.21"]) {
    registry.addImage("library/alpine", tag, [alpine], { ...shell, Cmd: ["/bin/sh"] });
  }
  registry.addImage("amd64/debian", "bullseye-20230109-slim", [alpine], { ...shell, Cmd: ["bash"] });
  // Only there to be found; what needs their programs cannot run here.
  for (const [name, tag] of [
    ["tonistiigi/hellofs", "latest"],
    ["moby/buildkit", "buildx-stable-1"],
    ["docker/dockerfile-upstream", "1.18.0"],
  ] as const) {
    registry.addImage(name, tag, [marker], {});
  }
  registry.addImage("tonistiigi/test", "nolayers", [], {});
  registry.addImage(
    "cpuguy83/buildkit-foreign",
    "latest",
    [
      {
        ...busybox,
        bytes: gunzipSync(busybox.bytes),
        mediaType: "application/vnd.docker.image.rootfs.foreign.diff.tar",
        urls: ["http://127.0.0.1:1/layer"],
      },
      plainMarker,
    ],
    shell,
  );
}

interface Layer {
  readonly bytes: Buffer;
  readonly diffId: string;
  readonly mediaType?: string;
  readonly urls?: readonly string[];
}

function layer(fill: (root: string) => void): Layer {
  const root = mkdtempSync(join(tmpdir(), "offline-image-"));
  try {
    fill(root);
    const tar = execFileSync("tar", ["--sort=name", "--mtime=@1700000000", "--numeric-owner", "-C", root, "-c", "."], {
      maxBuffer: 1 << 28,
    });
    return { bytes: gzipSync(tar), diffId: digestOf(tar) };
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}

/** `adduser -D <name>`: the next free ids from 1000 on, and a home of his own. */
const addUser = `#!/bin/sh
set -e
for name; do :; done
id=1000
while grep -q ":x:$id:" /etc/passwd; do id=$((id + 1)); done
echo "$name:x:$id:$id::/home/$name:/bin/sh" >> /etc/passwd
echo "$name:x:$id:" >> /etc/group
mkdir -p "/home/$name"
chown "$id:$id" "/home/$name"
`;

const applets = execFileSync("busybox", ["--list"], { encoding: "utf8" }).trim().split("\n");

function busyboxTree(root: string, kind: "hardlink" | "symlink"): void {
  for (const path of ["bin", "dev", "etc", "home", "root", "tmp", "usr/bin", "usr/sbin", "var/spool/mail"]) {
    mkdirSync(join(root, path), { recursive: true });
  }
  chmodSync(join(root, "tmp"), 0o1777);
  chmodSync(join(root, "root"), 0o700);
  copyFileSync("/bin/busybox", join(root, "bin/busybox"));
  for (const name of applets) {
    if (name === "busybox") continue;
    if (kind === "hardlink") linkSync(join(root, "bin/busybox"), join(root, "bin", name));
    else symlinkSync("/bin/busybox", join(root, "bin", name));
  }
  // Applets that Debian leaves out.
  writeFileSync(join(root, "bin/ttysize"), "#!/bin/sh\nset -- $(stty size)\necho $2 $1\n", { mode: 0o755 });
  writeFileSync(join(root, "bin/adduser"), addUser, { mode: 0o755 });
  writeFileSync(
    join(root, "etc/passwd"),
    [
      "root:x:0:0:root:/root:/bin/sh",
      "daemon:x:1:1:daemon:/usr/sbin:/bin/false",
      "bin:x:2:2:bin:/bin:/bin/false",
      "sys:x:3:3:sys:/dev:/bin/false",
      "sync:x:4:100:sync:/bin:/bin/sync",
      "mail:x:8:8:mail:/var/spool/mail:/bin/false",
      "www-data:x:33:33:www-data:/var/www:/bin/false",
      "operator:x:37:37:Operator:/var:/bin/false",
      "nobody:x:65534:65534:nobody:/home:/bin/false",
      "",
    ].join("\n"),
  );
  writeFileSync(
    join(root, "etc/group"),
    [
      "root:x:0:",
      "daemon:x:1:",
      "bin:x:2:",
      "sys:x:3:",
      "adm:x:4:",
      "tty:x:5:",
      "disk:x:6:",
      "mail:x:8:",
      "wheel:x:10:root",
      "www-data:x:33:",
      "operator:x:37:",
      "users:x:100:",
      "nobody:x:65534:",
      "",
    ].join("\n"),
  );
}

/** Like busybox, with links in place of hard links, plus the programs that are otherwise added by its package manager. */
function alpineTree(root: string): void {
  busyboxTree(root, "symlink");
  for (const path of ["lib/apk/db", "media", "mnt", "opt", "proc", "run", "sbin", "srv", "sys", "usr/local"]) {
    mkdirSync(join(root, path), { recursive: true });
  }
  writeFileSync(join(root, "lib/apk/db/installed"), "");
  writeFileSync(join(root, "etc/os-release"), 'ID=alpine\nNAME="Alpine Linux"\nVERSION_ID=3.18.0\n');
  writeFileSync(join(root, "etc/alpine-release"), "3.18.0\n");
  // Packages are there from the start: there is no repository to take them from.
  writeFileSync(join(root, "sbin/apk"), "#!/bin/sh\nexit 0\n", { mode: 0o755 });
  for (const program of ["/usr/bin/curl", "/usr/bin/git", "/usr/bin/ssh", "/usr/bin/ssh-add"])
    copyWithLibraries(root, program);
}

function copyWithLibraries(root: string, program: string): void {
  if (!existsSync(program)) return;
  const copy = (path: string): void => {
    const target = join(root, path);
    if (existsSync(target)) rmSync(target);
    mkdirSync(dirname(target), { recursive: true });
    copyFileSync(path, target);
  };
  rmSync(join(root, "bin", basename(program)), { force: true });
  copy(program);
  for (const line of execFileSync("ldd", [program], { encoding: "utf8" }).split("\n")) {
    const path = /(\/\S+) \(0x/.exec(line)?.[1];
    if (path !== undefined) copy(path);
  }
}

/** Repositories, tags and blobs as files of the `distribution` registry's storage, version 2. */
class RegistryFiles {
  readonly #root: string;

  constructor(root: string) {
    this.#root = join(root, "docker/registry/v2");
  }

  addImage(repository: string, tag: string, layers: readonly Layer[], config: object): void {
    const configBytes = Buffer.from(
      JSON.stringify({
        architecture: process.arch === "x64" ? "amd64" : process.arch,
        os: "linux",
        created: "2023-11-14T22:13:20Z",
        config,
        rootfs: { type: "layers", diff_ids: layers.map((item) => item.diffId) },
        history: layers.map(() => ({ created: "2023-11-14T22:13:20Z", created_by: "offline image" })),
      }),
    );
    const descriptors = layers.map((item) => ({
      mediaType: item.mediaType ?? "application/vnd.docker.image.rootfs.diff.tar.gzip",
      size: item.bytes.length,
      digest: this.#addLayer(repository, item.bytes),
      ...(item.urls === undefined ? {} : { urls: item.urls }),
    }));
    const manifest = Buffer.from(
      JSON.stringify({
        schemaVersion: 2,
        mediaType: "application/vnd.docker.distribution.manifest.v2+json",
        config: {
          mediaType: "application/vnd.docker.container.image.v1+json",
          size: configBytes.length,
          digest: this.#addLayer(repository, configBytes),
        },
        layers: descriptors,
      }),
    );
    const digest = this.#addBlob(manifest);
    const manifests = join(this.#root, "repositories", repository, "_manifests");
    link(join(manifests, "revisions", ...digest.split(":")), digest);
    link(join(manifests, "tags", tag, "current"), digest);
    link(join(manifests, "tags", tag, "index", ...digest.split(":")), digest);
  }

  #addLayer(repository: string, bytes: Buffer): string {
    const digest = this.#addBlob(bytes);
    link(join(this.#root, "repositories", repository, "_layers", ...digest.split(":")), digest);
    return digest;
  }

  #addBlob(bytes: Buffer): string {
    const digest = digestOf(bytes);
    const hex = digest.slice("sha256:".length);
    const directory = join(this.#root, "blobs/sha256", hex.slice(0, 2), hex);
    mkdirSync(directory, { recursive: true });
    writeFileSync(join(directory, "data"), bytes);
    return digest;
  }
}

function link(directory: string, digest: string): void {
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, "link"), digest);
}

function digestOf(bytes: Buffer): string {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}
