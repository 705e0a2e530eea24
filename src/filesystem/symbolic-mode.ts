/**
 * chmod(1) modes as BSD's setmode reads them (`u=rwx,go=u-w`, `+X`, `755`), with umask 0; the library BuildKit uses
 * (dchapes/mode) has these results. Applies to permission bits with setuid, setgid and sticky.
 * @throws Error `invalid syntax`
 */
export function parseSymbolicMode(text: string): (permissions: number, isDirectory: boolean) => number {
  if (/^[0-9]/.test(text)) {
    if (!/^[0-7]+$/.test(text)) throw invalid(text);
    const value = Number.parseInt(text, 8);
    if (value > 0o7777) throw syntaxError();
    return () => value;
  }
  if (text === "") throw syntaxError();
  const commands = text.split(",").flatMap(parseClause);
  return (permissions, isDirectory) => {
    // `X` looks at the mode before any change.
    const execute = (permissions & 0o111) !== 0 || isDirectory;
    return commands.reduce((mode, command) => apply(command, mode, execute), permissions & 0o7777);
  };
}

/** Bits of one operator, or a copy of a class (`u`, `g`, `o`) into the classes of `who`. */
type Command =
  | { readonly op: "+" | "-" | "X"; readonly bits: number }
  | {
      readonly op: "copy";
      readonly from: 6 | 3 | 0;
      readonly who: number;
      readonly set: boolean;
      readonly clear: boolean;
    };

const all = 0o6777;
const sticky = 0o1000;

function parseClause(clause: string): readonly Command[] {
  const head = /^[augo]*/.exec(clause)?.[0] ?? "";
  let who = 0;
  for (const ch of head) who |= ch === "a" ? all : ch === "u" ? 0o4700 : ch === "g" ? 0o2070 : 0o0007;
  let rest = clause.slice(head.length);
  const commands: Command[] = [];
  if (rest === "") throw syntaxError();
  while (rest !== "") {
    const op = rest[0];
    if (op !== "+" && op !== "-" && op !== "=") throw syntaxError();
    const letters = /^[rwxXstugo]*/.exec(rest.slice(1))?.[0] ?? "";
    rest = rest.slice(1 + letters.length);
    who &= ~sticky;
    const onlyOthers = who !== 0 && (who & ~0o0007) === 0;
    let perm = 0;
    let conditional = 0;
    let assigned = false;
    const flush = () => {
      if (perm !== 0 || (op === "=" && !assigned)) {
        if (op === "=") {
          commands.push({ op: "-", bits: who === 0 ? all : who });
          assigned = true;
        }
        commands.push({ op: op === "-" ? "-" : "+", bits: who === 0 ? perm : who & perm });
      }
      if (conditional !== 0) commands.push({ op: "X", bits: who === 0 ? conditional : who & conditional });
      perm = 0;
      conditional = 0;
    };
    for (const ch of letters) {
      switch (ch) {
        case "r":
          perm |= 0o444;
          break;
        case "w":
          perm |= 0o222;
          break;
        case "x":
          perm |= 0o111;
          break;
        case "X":
          if (op === "-") perm |= 0o111;
          else conditional |= 0o111;
          break;
        case "s":
          if (!onlyOthers) perm |= 0o6000;
          break;
        case "t":
          if (!onlyOthers) {
            who |= sticky;
            perm |= sticky;
          }
          break;
        default:
          if (perm !== 0) flush();
          assigned = true;
          if (conditional !== 0) flush();
          commands.push({
            op: "copy",
            from: ch === "u" ? 6 : ch === "g" ? 3 : 0,
            who: who === 0 ? 0o777 : who & 0o777,
            set: op !== "-",
            clear: op !== "+",
          });
      }
    }
    flush();
  }
  return commands;
}

function apply(command: Command, mode: number, execute: boolean): number {
  switch (command.op) {
    case "+":
      return mode | command.bits;
    case "-":
      return mode & ~command.bits;
    case "X":
      return execute ? mode | command.bits : mode;
    case "copy": {
      const value = (mode >> command.from) & 7;
      let result = mode;
      for (const shift of [6, 3, 0]) {
        if ((command.who & (4 << shift)) === 0) continue;
        if (command.clear) result &= ~((command.set ? 7 : value) << shift);
        if (command.set) result |= value << shift;
      }
      return result;
    }
  }
}

function syntaxError(): Error {
  return new Error("invalid syntax");
}

function invalid(text: string): Error {
  return new Error(`strconv.ParseInt: parsing ${JSON.stringify(text)}: invalid syntax`);
}
