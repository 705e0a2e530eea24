import { cp, glob, readFile, rm } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { build, type Plugin } from "esbuild";

/**
 * Bundles the command line into dist/, or the directory named as argument: buildfleet.mjs, the chunks it loads when needed, and each file that is started as a
 * worker thread or helper process. Sources name those with `new URL("./x.ts", import.meta.url)`, or choose between "./x.ts"
 * and "./x.mjs" by the kind of file they are in; there all files lie side by side, so only the name is kept.
 */
const root = resolve(import.meta.dirname, "..");
const out = resolve(process.argv[2] ?? join(root, "dist"));
const started = /"(\.{1,2}\/[\w./-]+)\.ts"(?=, import\.meta\.url\)| : "\.\/[\w-]+\.mjs")/g;

/** Its dependencies were written before strict mode, which every ES module is in: it stays a CommonJS file of its own. */
const sloppy = "@opentelemetry/exporter-jaeger";
const sloppyFile = "exporter-jaeger.cjs";
/** What they read when they are loaded, beside themselves. */
const sloppyData = ["jaeger-idl", "thriftrw-idl"];

/** Native add-ons find their binaries beside themselves. */
const external = ["koffi"];

async function startedFiles(): Promise<readonly string[]> {
  const found = new Set<string>();
  for await (const file of glob("src/**/*.ts", { cwd: root })) {
    const text = await readFile(join(root, file), "utf8");
    for (const [, path] of text.matchAll(started)) found.add(resolve(root, dirname(file), `${path}.ts`));
  }
  return [...found].sort();
}

const renameStartedFiles: Plugin = {
  name: "rename-started-files",
  setup({ onLoad }) {
    onLoad({ filter: /\/src\/.*\.ts$/ }, async ({ path }) => {
      const text = await readFile(path, "utf8");
      if (!text.includes("import.meta.url")) return undefined;
      const contents = text.replace(started, (_, name: string) => `"./${basename(name)}.mjs"`);
      // Code that asks what kind of file it is in gets the answer of a bundle.
      return { contents: contents.replaceAll('import.meta.url.endsWith(".ts")', "false"), loader: "ts" };
    });
  },
};

const keepSloppy: Plugin = {
  name: "keep-sloppy",
  setup({ onResolve }) {
    onResolve({ filter: new RegExp(`^${sloppy}$`) }, () => ({ path: `./${sloppyFile}`, external: true }));
  },
};

const workers = await startedFiles();
const names = workers.map((file) => basename(file, ".ts"));
const twice = names.find((name, index) => names.indexOf(name) !== index);
if (twice !== undefined) throw new Error(`two started files are called ${twice}.ts; they must differ in a bundle`);

await rm(out, { recursive: true, force: true });
const result = await build({
  absWorkingDir: root,
  entryPoints: [
    { in: join(root, "src/cli/main.ts"), out: "buildfleet" },
    ...workers.map((file) => ({ in: file, out: basename(file, ".ts") })),
  ],
  outdir: out,
  outExtension: { ".js": ".mjs" },
  chunkNames: "chunk-[hash]",
  bundle: true,
  splitting: true,
  format: "esm",
  platform: "node",
  target: "node24",
  external,
  // Bundled CommonJS packages call require().
  banner: {
    js: 'import { createRequire as __createRequire } from "node:module";\nconst require = __createRequire(import.meta.url);',
  },
  plugins: [renameStartedFiles, keepSloppy],
  legalComments: "none",
  metafile: true,
  logLevel: "warning",
});
await build({
  // A directive in the entry itself would count for the whole file.
  stdin: { contents: `module.exports = require(${JSON.stringify(sloppy)});`, resolveDir: root },
  outfile: join(out, sloppyFile),
  bundle: true,
  format: "cjs",
  platform: "node",
  target: "node24",
  legalComments: "none",
  logLevel: "warning",
});
for (const directory of sloppyData) {
  await cp(join(root, "node_modules/jaeger-client/dist/src", directory), join(out, directory), { recursive: true });
}
const bytes = Object.values(result.metafile.outputs).reduce((sum, output) => sum + output.bytes, 0);
console.log(`${out}: buildfleet.mjs and ${workers.length} started files, ${(bytes / 1e6).toFixed(1)} MB`);
