export { parseSbomConfig, type SbomConfig } from "./dockerfile/context/attestations.ts";
export { BuildContext } from "./dockerfile/context/build-context.ts";
export { type GitRef, parseGitRef } from "./dockerfile/context/git-ref.ts";
export { DockerfileFrontend } from "./dockerfile/dockerfile-frontend.ts";
export { csvFields } from "./dockerfile/instructions/csv-fields.ts";
export { SbomScanner } from "./dockerfile/sbom-scanner.ts";
