/** Something wrong with the command line itself; the message is one sentence for the user. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}
