import { BuildError } from "../../../core/errors/build-error.ts";
import { Code } from "../../../core/errors/code.ts";

const symbolic = /^[augo]*(?:[-+=][rstwXxugo]*)+(?:,[augo]*(?:[-+=][rstwXxugo]*)+)*$/;

/** Value of `--chmod`: octal digits as a number, a symbolic mode as text. @throws BuildError */
export function parseChmod(text: string): number | string | undefined {
  if (text === "") return undefined;
  if (/^[0-7]+$/.test(text) && Number.parseInt(text, 8) <= 0o7777) return Number.parseInt(text, 8);
  if (/^[0-9]/.test(text)) {
    throw new BuildError(
      Code.Unknown,
      `invalid chmod parameter: '${text}'. it should be octal string and between 0 and 07777`,
    );
  }
  if (!symbolic.test(text)) throw new BuildError(Code.Unknown, "invalid syntax");
  return text;
}
