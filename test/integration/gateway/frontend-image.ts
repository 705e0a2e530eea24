import { execFileSync } from "node:child_process";
import { readFileSync, realpathSync } from "node:fs";
import { dirname, join } from "node:path";
import { build } from "esbuild";
import { makeLayer, pushImage } from "../../helpers/sandbox/index.ts";

/** Pushes an image with this machine's node, the libraries it needs, and a frontend of this folder as its entrypoint. */
export async function pushFrontendImage(
  reference: string,
  labels: Readonly<Record<string, string>> = {},
  frontend: "test-frontend.ts" | "hostile-frontend.ts" = "test-frontend.ts",
): Promise<void> {
  const bundle = await build({
    entryPoints: [join(import.meta.dirname, frontend)],
    bundle: true,
    write: false,
    format: "esm",
    platform: "node",
    target: "node24",
    external: ["koffi"],
    banner: { js: 'import { createRequire } from "node:module"; const require = createRequire(import.meta.url);' },
  });
  const node = realpathSync(process.execPath);
  const libraries = [...execFileSync("ldd", [node], { encoding: "utf8" }).matchAll(/(\/\S+) \(0x/g)].map(
    ([, path = ""]) => path,
  );
  const files = [...libraries.map((path) => ({ path, data: readFileSync(path), mode: 0o755 }))];
  const directories = new Set<string>();
  for (const { path } of [...files, { path: "/frontend/node" }]) {
    for (let directory = dirname(path); directory !== "/"; directory = dirname(directory)) directories.add(directory);
  }
  const entries = [
    ...[...directories].sort().map((path) => ({ path: path.slice(1), directory: true as const })),
    ...files.map((file) => ({ ...file, path: file.path.slice(1) })),
    { path: "frontend/node", data: readFileSync(node), mode: 0o755 },
    { path: "frontend/main.mjs", data: bundle.outputFiles[0]?.contents ?? new Uint8Array(0) },
  ];
  await pushImage(reference, [makeLayer(entries)], {
    Entrypoint: ["/frontend/node", "--no-warnings", "main.mjs"],
    WorkingDir: "/frontend",
    Env: ["MY_IMAGE=mine"],
    Labels: labels,
  });
}
