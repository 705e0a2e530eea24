// Generates src/api/gen from src/api/proto: the codecs, and the descriptors that gRPC reflection serves. Needs the npm packages.
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { deflateSync } from "node:zlib";

const api = join(import.meta.dirname, "../src/api");
const buf = (...args: string[]) => execFileSync("buf", args, { cwd: api, maxBuffer: 64 << 20 });

buf("generate", "proto");
const set = buf("build", "proto", "--as-file-descriptor-set", "--exclude-source-info", "-o", "-");
const path = join(api, "gen/descriptors.ts");
const text = readFileSync(path, "utf8");
const head = text.slice(0, text.indexOf("const deflated ="));
const lines =
  deflateSync(set, { level: 9 })
    .toString("base64")
    .match(/.{1,116}/g) ?? [];
writeFileSync(path, `${head}const deflated =\n${lines.map((line) => `  "${line}"`).join(" +\n")};\n`);
