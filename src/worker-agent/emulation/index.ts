export { type Emulation, Emulators, noEmulation } from "./emulators.ts";
