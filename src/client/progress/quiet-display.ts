import type { Display } from "./display.ts";

/** Shows nothing. */
export class QuietDisplay implements Display {
  update(): void {}

  refresh(): void {}

  finish(): void {}
}
