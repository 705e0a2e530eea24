#!/usr/bin/env node
// Stands in for buildkitd: its name, its flags, our daemon on this machine.
process.argv.splice(2, 0, "buildkitd");
await import("./buildfleet.mjs");
