import type { StatusResponse } from "../../api/gen/control.ts";

/** Shows a build's progress. `finish` is called once, after the last update. */
export interface Display {
  update(status: StatusResponse): void;
  /** Called several times a second, so that clocks tick and what was held back comes out. */
  refresh(): void;
  finish(): void;
}

/** Where a display writes. */
export interface TextSink {
  write(text: string): unknown;
}
