/** The command has said all there is to say; the process ends with this code. */
export class ExitStatus extends Error {
  readonly code: number;

  constructor(code: number) {
    super(`exit code: ${code}`);
    this.code = code;
  }
}
