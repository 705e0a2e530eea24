#!/usr/bin/env node
// Stands in for buildctl: its name and commands, our client.
process.argv.splice(2, 0, "buildctl");
await import("./buildfleet.mjs");
