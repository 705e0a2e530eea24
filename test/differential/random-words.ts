import { pick } from "../helpers/random.ts";

type Random = () => number;

export const names = [
  "A",
  "B",
  "FOO",
  "foo",
  "PATH",
  "TARGETARCH",
  "BUILDPLATFORM",
  "HOME",
  "HTTP_PROXY",
  "x1",
  "_u",
] as const;
export const plain = [
  "a",
  ..."b/c /d . .. ../e /f/ ./g *.txt x? [ab] é 日本 0 00 1 8080 80/tcp 90-91/udp 0755 u+x root 1000:1000 nobody:".split(
    " ",
  ),
  ..."true false yes base other 0s 5s 1m -1 a=b a,b type=cache target=/x src=a # <<EOF sha256:abc http://h/f.tar -- --x".split(
    " ",
  ),
  "git@github.com:a/b.git#c",
  "https://github.com/a/b.git",
] as const;
const modifiers = [":-", "-", ":+", "+", "#", "##", "%", "%%"] as const;
const bentModifiers = ["/", "//", ":", ":#", "!", "^", "@", "?", ":?", " "] as const;
/** Words of Dockerfiles at random. Subclasses put them together. */
export class RandomWords {
  protected readonly random: Random;
  /** How often something is bent: most Dockerfiles shall get past the first check. */
  readonly #wildness: number;

  constructor(random: Random) {
    this.random = random;
    this.#wildness = this.pick([0, 0.01, 0.05, 0.3]);
  }

  protected bent(): boolean {
    return this.chance(this.#wildness);
  }

  protected chance(share: number): boolean {
    return this.random() < share;
  }

  protected pick<T>(items: readonly [T, ...T[]]): T {
    return pick(this.random, items);
  }

  /** One of the ways, taken. */
  protected one(...ways: readonly [() => string, ...(() => string)[]]): string {
    return this.pick(ways)();
  }

  protected many<T>(most: number, make: () => T): T[] {
    return Array.from({ length: Math.floor(this.random() * (most + 1)) }, make);
  }

  protected some<T>(most: number, make: () => T): T[] {
    return [make(), ...this.many(most - 1, make)];
  }

  /** A word that means something to the lexer of words. */
  protected word(depth = 0): string {
    const inner = () => this.word(depth + 1);
    if (depth > 3 || this.chance(0.5)) return this.pick(plain);
    return this.one(
      () => `$${this.pick(names)}`,
      () => `\${${this.pick(names)}}`,
      () =>
        `\${${this.pick(names)}${this.pick(this.bent() ? bentModifiers : modifiers)}${this.chance(0.8) ? inner() : ""}}`,
      () => `\${${this.pick(names)}/${inner()}/${inner()}}`,
      () => `"${inner()}${this.pick(["", " ", "\\"])}${inner()}"`,
      () => `'${inner()} ${inner()}'`,
      () => `${inner()}\\ ${inner()}`,
      () => `${inner()}${this.pick(["", "", "\\$", '\\"', "%", ":", "=", "`", "$$"])}${inner()}`,
      () => this.pick(["''", '""', "$1", "$@", `\${1:-x}`, "$-"]),
      () => (this.bent() ? this.pick([`\${}`, `\${A`, "a\\", '"', "'", "$", "\0"]) : "plain"),
    );
  }

  protected words(most = 3): string {
    return this.some(most, () => this.word()).join(this.pick([" ", " ", " ", "  ", "\t", " \\\n  "]));
  }

  protected assignments(bare: boolean): string {
    return this.some(3, () => {
      const key = !this.bent() ? this.pick(names) : this.word();
      return bare && this.chance(0.3) ? key : `${key}=${this.word()}`;
    }).join(" ");
  }

  protected json(): string {
    const items = this.many(3, () => (!this.bent() ? JSON.stringify(this.word()) : this.word()));
    const after = `${this.bent() ? "," : ""}]${this.bent() ? " x" : ""}`;
    return `[${items.join(this.pick([", ", ",", " , "]))}${after}`;
  }

  protected heredoc(): string {
    const mark = this.pick(["EOF", "E1", "'EOF'", '"E2"', "-EOF", "-'E3'"]);
    const end = mark.replace(/^-/, "").replace(/['"]/g, "");
    const lines = this.many(3, () => `${this.pick(["", "\t", "  "])}${this.words()}`);
    return `<<${mark}${this.chance(0.2) ? ` ${this.word()}` : ""}\n${lines.map((line) => `${line}\n`).join("")}${this.bent() ? "other" : end}`;
  }
}
