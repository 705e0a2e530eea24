#!/usr/bin/env node
import { buildkitd } from "../src/cli/buildkitd.ts";

buildkitd(process.argv.slice(2)).then(
  (code) => process.exit(code),
  (error) => {
    process.stderr.write(`buildkitd: ${error instanceof Error ? error.message : String(error)}\n`);
    process.exit(1);
  },
);
