/** One check: its texts and how the message is made from its arguments. */
export interface LintRule<A extends readonly string[]> {
  readonly name: string;
  readonly description: string;
  /** Empty: no page. */
  readonly url: string;
  readonly experimental: boolean;
  readonly message: (...args: A) => string;
}
