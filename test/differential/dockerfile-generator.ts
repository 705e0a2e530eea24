import { pick } from "../helpers/random.ts";
import { names, plain, RandomWords } from "./random-words.ts";

/** What one conversion is asked with. */
export interface DockerfileCase {
  readonly dockerfile: string;
  readonly options: Readonly<Record<string, string>>;
}

/**
 * Dockerfiles at random: most instructions well formed, some bent, the text as a whole sometimes damaged at a place or two.
 * `base` and `other` are names of contexts that the caller provides.
 */
export function generateCase(random: () => number): DockerfileCase {
  return new Generator(random).case();
}

const stageNames = ["one", "two", "Three", "base", "a.b"] as const;
const bentStageNames = ["0", "1", "-", "scratch", "context", "nope"] as const;
const breaks = [
  "\\\n",
  "\\ \n",
  "\\\n\n",
  "\\\n# comment\n",
  "\n",
  "\r\n",
  "\t",
  "\0",
  "`\n",
  "\\",
  '"',
  "'",
  "$",
  "{",
  "}",
] as const;
const platforms = [
  "linux/amd64",
  "linux/arm64",
  "linux/arm/v7",
  "windows/amd64",
  "$BUILDPLATFORM",
  "$TARGETPLATFORM",
  "arm64",
] as const;
const keywords = [
  "FROM",
  "RUN",
  "COPY",
  "ADD",
  "ENV",
  "ARG",
  "LABEL",
  "CMD",
  "ENTRYPOINT",
  "EXPOSE",
  "USER",
  "WORKDIR",
  "VOLUME",
] as const;

class Generator extends RandomWords {
  readonly #stages: string[] = [];

  case(): DockerfileCase {
    const lines = [...this.many(this.chance(0.15) ? 2 : 0, () => this.#directive())];
    lines.push(...this.many(2, () => `ARG ${this.assignments(true)}`));
    for (let stage = 0; stage === 0 || this.chance(0.35); stage++) {
      lines.push(this.#from(), ...this.many(7, () => this.#instruction()));
    }
    let text = lines.join(this.chance(0.03) ? "\r\n" : "\n");
    while (this.bent()) text = this.#damage(text);
    return { dockerfile: text + (this.chance(0.5) ? "\n" : ""), options: this.#options() };
  }

  #options(): Record<string, string> {
    const options: Record<string, string> = {};
    if (this.chance(0.2)) options[`build-arg:${this.pick(names)}`] = this.pick(plain);
    if (this.chance(0.1)) options["platform"] = this.pick(["linux/arm64", "linux/amd64,linux/arm64", "linux/386"]);
    if (this.bent()) options["target"] = this.pick(stageNames);
    if (this.chance(0.05)) options[`label:${this.pick(names)}`] = this.pick(plain);
    if (this.chance(0.05)) options["build-arg:SOURCE_DATE_EPOCH"] = this.pick(["0", "1700000000"]);
    if (this.chance(0.05)) options["no-cache"] = this.pick(["", "one", "Three,two"]);
    if (this.chance(0.05))
      options["build-arg:BUILDKIT_DOCKERFILE_CHECK"] = this.pick([
        "skip=all",
        "skip=JSONArgsRecommended",
        "error=true",
        "skip=JSONArgsRecommended;error=true",
      ]);
    return options;
  }

  #directive(): string {
    const value = this.pick([
      "`",
      "\\",
      "skip=all",
      "error=true",
      "skip=StageNameCasing,WorkdirRelativePath;error=1",
      "linux/amd64",
    ]);
    if (!this.bent()) return this.pick(["# escape=`", "# check=skip=all", "# check=skip=JSONArgsRecommended"]);
    const key = this.pick(["escape", "check", "Escape", "other", "# plain comment"]);
    return `#${this.pick(["", " ", "  "])}${key}${this.pick(["=", " = ", " "])}${value}`;
  }

  #from(): string {
    const image = this.bent()
      ? this.word()
      : this.pick(["base", "base", "scratch", "other", `\${x1:-base}`, this.#stage()]);
    const flag = this.chance(0.1) ? `--platform=${this.bent() ? this.word() : this.pick(platforms)} ` : "";
    const as = this.chance(0.6) ? ` ${this.pick(["AS", "as", "As"])} ${this.#newStage()}` : "";
    return `${this.#case("FROM")} ${flag}${image}${as}`;
  }

  /** A stage that is there, mostly. */
  #stage(): string {
    return this.bent() || this.#stages.length === 0 ? this.#bentName() : pick(this.random, this.#stages as [string]);
  }

  #newStage(): string {
    const name = this.bent() ? this.#bentName() : this.pick(stageNames);
    this.#stages.push(name);
    return name;
  }

  #bentName(): string {
    return this.bent() ? this.pick(bentStageNames) : "base";
  }

  #case(keyword: string): string {
    return this.chance(0.05)
      ? keyword.toLowerCase()
      : this.chance(0.02)
        ? `${keyword[0]}${keyword.slice(1).toLowerCase()}`
        : keyword;
  }

  #flags(known: readonly [string, ...string[]]): string {
    const flags = this.many(2, () => {
      const flag = this.bent()
        ? this.pick(["unknown", "x=", "from=a", "", "chmod", "link=x", "from="])
        : this.pick(known);
      return `--${flag}${flag.endsWith("=") ? this.word() : ""} `;
    });
    return [...new Map(flags.map((flag) => [this.bent() ? flag : flag.split("=")[0]?.trim(), flag])).values()].join("");
  }

  #mount(): string {
    if (!this.bent()) {
      return `--mount=${this.pick(["type=cache,target=/c", "type=cache,target=$FOO/c,id=x,uid=3,sharing=locked", "target=/b", `from=${this.#stage()},source=/f,target=/m,rw`, "type=tmpfs,target=/t,size=10m", "type=secret,id=s,mode=0400", "type=secret,id=s,env=S", "type=ssh", "type=cache,dst=rel,from=base,source=$A"])}`;
    }
    const fields = this.some(4, () =>
      this.one(
        () => `type=${this.pick(["cache", "bind", "tmpfs", "secret", "ssh", "x", ""])}`,
        () =>
          `${this.pick(["target", "dst", "source", "src", "from", "id", "uid", "mode", "size", "env"])}=${this.word()}`,
        () =>
          this.pick([
            "rw",
            "ro",
            "readonly=false",
            "required",
            "required=maybe",
            "sharing=locked",
            "sharing=x",
            "from=base",
            "target=/m",
            "uid=1",
            "mode=0700",
            "id=k",
            "env=V",
            "size=1m",
          ]),
      ),
    );
    return `--mount=${fields.join(",")}`;
  }

  #instruction(onbuild = true): string {
    const one = this.one(
      () =>
        `RUN ${this.#flags(["network=none", "network=default", "security=sandbox"])}${this.many(2, () => `${this.#mount()} `).join("")}${this.one(
          () => this.words(4),
          () => this.json(),
          () => this.heredoc(),
        )}`,
      () =>
        `COPY ${this.#flags([`from=${this.#stage()}`, "from=other", "from=0", "chown=1:2", "chown=$A", "chown=", "chmod=0755", "chmod=u+x", "link", "link=false", "parents", "exclude=*.md", "exclude="])}${this.one(
          () => (this.bent() ? this.words(3) : `${this.word()} ${this.word()}`),
          () => `${this.words(2)} /dst/`,
          () => this.json(),
          () => `${this.heredoc().replace("\n", " /h\n")}`,
        )}`,
      () =>
        `ADD ${this.#flags(["keep-git-dir=false", "unpack=false", "unpack", "chown=1", "chmod=0644", "link", "exclude=x"])}${this.one(
          () => `${this.word()} ${this.word()}`,
          () => `${this.word()} /dst`,
          () => (this.bent() ? this.json() : `["$A", "/x/"]`),
          () => this.heredoc().replace("\n", " /h\n"),
        )}`,
      () =>
        `ENV ${this.one(
          () => this.assignments(false),
          () => `${this.pick(names)} ${this.words(3)}`,
        )}`,
      () => `ARG ${this.assignments(true)}`,
      () =>
        `LABEL ${this.one(
          () => this.assignments(false),
          () => `${this.word()} ${this.words(3)}`,
        )}`,
      () =>
        `${this.pick(["CMD", "ENTRYPOINT"])} ${this.one(
          () => this.json(),
          () => this.words(3),
        )}`,
      () => `SHELL ${this.bent() ? this.json() : '["/bin/x", "-c"]'}`,
      () =>
        `EXPOSE ${this.one(
          () => (this.bent() ? this.words(3) : "80"),
          () => this.pick(["80 443/udp", "80-90:80-90/tcp", "1.2.3.4:80:80", "80$FOO", "80/sctp"]),
        )}`,
      () => `USER ${this.bent() ? this.words(2) : this.word()}`,
      () =>
        `WORKDIR ${this.one(
          () => `/${this.word()}`,
          () => this.words(2),
          () => this.pick(["/w", "rel", "$HOME/x", "/", "C:\\x", "/a/../b"]),
        )}`,
      () =>
        `VOLUME ${this.one(
          () => this.json(),
          () => this.words(3),
        )}`,
      () =>
        `STOPSIGNAL ${this.one(
          () => this.pick(["SIGTERM", "9", "SIGRTMIN+3"]),
          () => (this.bent() ? this.words(2) : `\${x1:-SIGHUP}`),
        )}`,
      () =>
        `HEALTHCHECK ${this.#flags(["interval=5s", "timeout=1m", "retries=3", "start-period=1s", "start-interval=2s"])}${this.one(
          () => (this.bent() ? "NONE" : "CMD x"),
          () => `CMD ${this.json()}`,
          () => `CMD ${this.words()}`,
          () => (this.bent() ? this.words(2) : "CMD a b"),
        )}`,
      () => `MAINTAINER ${this.words(3)}`,
      () => (this.chance(0.5) || onbuild ? `ONBUILD ${this.#instruction(this.chance(0.1))}` : "USER x"),
      () => (this.bent() ? `${this.pick(keywords)}${this.chance(0.5) ? ` ${this.words(2)}` : ""}` : "WORKDIR /deep"),
      () => this.pick(["", "# comment", "  # indented", "#escape=`", "\t"]),
      () => (this.bent() ? this.pick(["NOPE x", "RUNN x", "EOF"]) : "USER 1"),
    );
    const blank = one.search(/\s/);
    return blank < 0 ? one : this.#case(one.slice(0, blank)) + one.slice(blank);
  }

  #damage(text: string): string {
    const at = Math.floor(this.random() * (text.length + 1));
    const span = Math.floor(this.random() * 6);
    return this.pick([
      () => text.slice(0, at) + text.slice(at + span),
      () => text.slice(0, at) + this.pick(breaks) + text.slice(at),
      () => text.slice(0, at) + text.slice(at, at + span).repeat(2) + text.slice(at + span),
      () => text.slice(0, at) + this.word() + text.slice(at),
    ])();
  }
}
