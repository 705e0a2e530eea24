export { DockerfileFrontend } from "./dockerfile/dockerfile-frontend.ts";
