/** Longest line, without its line feed. */
export const maxLineBytes = 65_535;

/** Lines of a text, each with its line end. Stops for good at a line which is too long. */
export class LineReader {
  readonly #text: string;
  #at = 0;
  #tooLong = false;

  constructor(text: string) {
    this.#text = text;
  }

  /** True once a line was longer than `maxLineBytes`. */
  get tooLong(): boolean {
    return this.#tooLong;
  }

  next(): string | undefined {
    if (this.#tooLong || this.#at >= this.#text.length) return undefined;
    const feed = this.#text.indexOf("\n", this.#at);
    const content = this.#text.slice(this.#at, feed < 0 ? this.#text.length : feed);
    if (content.length * 3 > maxLineBytes && Buffer.byteLength(content) > maxLineBytes) {
      this.#tooLong = true;
      return undefined;
    }
    this.#at += content.length + 1;
    return feed < 0 ? content : `${content}\n`;
  }
}
