import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { stripVTControlCharacters } from "node:util";
import { BuildView } from "../../../src/client/progress/build-view.ts";
import { openDisplay } from "../../../src/client/progress/open-display.ts";
import { paint, terminalColors } from "../../../src/client/progress/terminal-colors.ts";
import { TerminalDisplay } from "../../../src/client/progress/terminal-display.ts";
import { terminalFrame } from "../../../src/client/progress/terminal-frame.ts";
import { cutToWidth, textWidth } from "../../../src/client/progress/text-width.ts";
import { log, status, TextBuffer, vertex } from "./statuses.ts";

const now = 1_700_000_010_000;

function view(): BuildView {
  return new BuildView({ keepLogLines: 100, now: () => now });
}

function frame(build: BuildView, columns: number, rows: number, last = false): readonly string[] {
  return terminalFrame(build, { size: { columns, rows }, colors: {}, logLines: 6, last });
}

/** What a terminal of that width shows after some output: enough of a terminal for what the display sends. */
function screen(output: string, columns: number): readonly string[] {
  const lines: string[] = [""];
  let row = 0;
  const tokens = /␛\[(\d+)A|␛\[(K|J)|(\n)|␛\[[?\d;]*[a-z]|\r|([^␛\n\r]+)/g;
  for (const [, up, erase, newline, text] of output.replaceAll("\x1b", "␛").matchAll(tokens)) {
    if (up !== undefined) row -= Number(up);
    else if (erase === "J") lines.length = row + 1;
    else if (newline !== undefined) lines[++row] ??= "";
    else if (text !== undefined) {
      assert.ok(textWidth(text) <= columns, `line too long: ${text}`);
      lines[row] = text;
    }
    if (erase === "J") lines[row] = "";
  }
  return lines;
}

describe("terminalFrame()", () => {
  it("shows steps, parts and logs of what runs", () => {
    const build = view();
    build.apply(vertex("a", { name: "[1/2] FROM x", started: 0, completed: 4, cached: true }));
    build.apply(vertex("b", { name: "[2/2] RUN make", started: 4 }));
    build.apply(status("b", "download", { current: 500, total: 1000, time: 6, started: 5 }));
    build.apply(status("b", "agent host-1", { time: 5, started: 5 }));
    build.apply(log("b", 7, "compiling\nlinking 10%\rlinking 20%\r"));
    assert.deepEqual(frame(build, 41, 20), [
      "[+] Building 0.0s (1/2)",
      " => CACHED [1/2] FROM x             4.0s",
      " => [2/2] RUN make          @host-1 0.0s",
      " => => # compiling",
      " => => # linking 20%",
      " => => download       500B / 1.00kB 0.0s",
    ]);
  });

  it("never has more rows than the terminal, and drops what is complete first", () => {
    const build = view();
    for (let index = 0; index < 30; index++)
      build.apply(vertex(`done ${index}`, { started: index, completed: index + 1 }));
    for (let index = 0; index < 3; index++) {
      build.apply(vertex(`runs ${index}`, { started: 40 + index }));
      build.apply(log(`runs ${index}`, 50, "log\n".repeat(20)));
    }
    for (const rows of [3, 5, 8, 24, 50]) {
      const lines = frame(build, 60, rows);
      assert.ok(lines.length < rows, `${lines.length} lines in ${rows} rows`);
      const running = lines.filter((line) => line.includes("=> runs")).length;
      assert.equal(running, Math.min(3, rows - 2));
    }
    assert.equal(frame(build, 60, 5, true).length, 34);
  });

  it("cuts lines to the width, in columns", () => {
    const build = view();
    build.apply(vertex("a", { name: "日本語".repeat(20), started: 0 }));
    build.apply(log("a", 1, `${"é".repeat(100)}\n`));
    for (const line of frame(build, 30, 20)) assert.ok(textWidth(line) < 30);
  });

  it("lets no name or log move the cursor", () => {
    const build = view();
    build.apply(vertex("a", { name: "evil\x1b[2Jname\nsecond", started: 0 }));
    build.apply(log("a", 1, "\x1b]0;title\x07\x1b[10Aup\x08\n"));
    for (const line of frame(build, 60, 20)) assert.doesNotMatch(line, /\p{Cc}/u);
  });
});

describe("TerminalDisplay", () => {
  it("redraws in place, also when frames get shorter and the terminal narrower", () => {
    const terminal = new TextBuffer();
    let time = now;
    const display = new TerminalDisplay(terminal, { env: { NO_COLOR: "1" }, now: () => time });
    const tick = () => {
      time += 200;
    };
    display.update(vertex("a", { started: 0 }));
    tick();
    display.update(log("a", 1, "one\ntwo\nthree\n"));
    tick();
    assert.equal(screen(terminal.text, 60).filter((line) => line !== "").length, 5);
    display.update(vertex("a", { started: 0, completed: 1 }));
    display.finish();
    const shown = screen(terminal.text, 60).filter((line) => line !== "");
    assert.equal(shown.length, 2);
    assert.match(shown[0] ?? "", /^\[\+\] Building \d+\.\ds \(1\/1\) FINISHED$/);
    assert.match(shown[1] ?? "", /^ => a +1\.0s$/);
  });

  it("leaves the cursor visible after each write", () => {
    const terminal = new TextBuffer();
    const display = new TerminalDisplay(terminal, { env: {} });
    display.update(vertex("a", { started: 0 }));
    display.refresh();
    assert.ok(terminal.text.endsWith("\x1b[?25h"));
  });
});

describe("terminalColors()", () => {
  it("reads BUILDKIT_COLORS and obeys NO_COLOR", () => {
    const colors = terminalColors({ BUILDKIT_COLORS: "run=light-green:error=1,2,3:cancel=nocolor:other=red" });
    assert.equal(colors.run, "92");
    assert.equal(colors.error, "38;2;1;2;3");
    assert.equal(colors.cancel, "33");
    assert.deepEqual(terminalColors({ NO_COLOR: "1", BUILDKIT_COLORS: "run=red" }), {});
    assert.equal(stripVTControlCharacters(paint("x", colors.run)), "x");
  });
});

describe("text width", () => {
  it("counts columns", () => {
    assert.equal(textWidth("abc"), 3);
    assert.equal(textWidth("日本"), 4);
    assert.equal(textWidth("e\u0301"), 1);
    assert.equal(cutToWidth("日本", 3), "日");
    assert.equal(cutToWidth("abc", 0), "");
  });
});

describe("openDisplay()", () => {
  it("insists on a terminal for tty", () => {
    assert.throws(() => openDisplay("tty", new TextBuffer()), /needs a terminal/);
    assert.ok(openDisplay("auto", Object.assign(new TextBuffer(), { isTTY: true })) instanceof TerminalDisplay);
  });
});
