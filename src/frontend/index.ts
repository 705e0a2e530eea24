export { type GitRef, parseGitRef } from "./dockerfile/context/git-ref.ts";
export { DockerfileFrontend } from "./dockerfile/dockerfile-frontend.ts";
export { csvFields } from "./dockerfile/instructions/csv-fields.ts";
