#!/usr/bin/env node
// Starts buildfleet with a Node that can run it: this one, or the one among our dependencies. Must itself run on old Nodes.
import { spawn } from "node:child_process";
import { accessSync, constants, existsSync } from "node:fs";
import module from "node:module";
import { homedir, constants as os } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const neededMajor = 24;
const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const bundle = join(root, "dist", "buildfleet.mjs");
const entry = existsSync(bundle) ? bundle : join(root, "src", "cli", "main.ts");
const cache = compileCache();

if (Number(process.versions.node.split(".")[0]) >= neededMajor) {
  if (cache !== undefined) module.enableCompileCache(cache);
  await import(pathToFileURL(entry).href);
} else {
  runWith(findNode());
}

/** Compiled code of earlier runs, in a place that only this user can write. */
function compileCache() {
  const base = process.env.XDG_CACHE_HOME || (process.env.HOME ? join(homedir(), ".cache") : "");
  return process.env.NODE_COMPILE_CACHE || base === "" ? undefined : join(base, "buildfleet", "compile");
}

function findNode() {
  const name = `node-linux-${process.arch}`;
  for (let directory = root; ; directory = dirname(directory)) {
    const candidate = join(directory, "node_modules", name, "bin", "node");
    try {
      accessSync(candidate, constants.X_OK);
      return candidate;
    } catch {
      if (directory === dirname(directory)) break;
    }
  }
  process.stderr.write(
    `error: buildfleet needs Node ${neededMajor} or newer; this is ${process.version} and the package ${name} is not installed\n`,
  );
  process.exit(1);
}

/** Runs the entry as a child and becomes its shadow: signals go on to it, its end is ours. */
function runWith(node) {
  const env = cache === undefined ? { ...process.env } : { ...process.env, NODE_COMPILE_CACHE: cache };
  const stdio = ["inherit", "inherit", "inherit"];
  // Sockets of systemd: descriptors from 3 on, meant for this process and so also for its shadow.
  if (Number(env.LISTEN_PID) === process.pid) {
    delete env.LISTEN_PID;
    for (let i = 0; i < Number(env.LISTEN_FDS ?? 0); i++) stdio.push(3 + i);
  }
  const child = spawn(node, [entry, ...process.argv.slice(2)], { stdio, env });
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR2"]) {
    process.on(signal, () => child.kill(signal));
  }
  child.once("error", (error) => {
    process.stderr.write(`error: cannot run ${node}: ${error.message}\n`);
    process.exit(1);
  });
  child.once("exit", (code, signal) => process.exit(code ?? 128 + (os.signals[signal] ?? 0)));
}
