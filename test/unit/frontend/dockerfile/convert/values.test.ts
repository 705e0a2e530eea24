import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseChecksum } from "../../../../../src/frontend/dockerfile/convert/checksum.ts";
import { parseChmod } from "../../../../../src/frontend/dockerfile/convert/chmod-value.ts";
import { parseExposedPorts } from "../../../../../src/frontend/dockerfile/convert/expose-ports.ts";
import { isAbsolute, normalizePath, normalizeWorkdir } from "../../../../../src/frontend/dockerfile/convert/os-path.ts";
import { summarizeHeredoc } from "../../../../../src/frontend/dockerfile/convert/vertex-names.ts";
import {
  encodeImage,
  formatDuration,
  formatPlatformFully,
  formatQuotedList,
  parseImage,
} from "../../../../../src/frontend/dockerfile/image/index.ts";
import { defaultLintConfig, Linter } from "../../../../../src/frontend/dockerfile/lint/index.ts";

describe("paths of instructions", () => {
  it("go below the parent and keep a final slash when told to", () => {
    assert.equal(normalizePath("/w", "a/", "linux", true), "/w/a/");
    assert.equal(normalizePath("/w", "./", "linux", true), "/w/");
    assert.equal(normalizePath("/w", "a/.", "linux", true), "/w/a/.");
    assert.equal(normalizePath("", "../a", "linux", false), "/a");
    assert.equal(normalizePath("/", "/a/../b", "linux", false), "/a/../b");
  });

  it("lose drive letters and backslashes on Windows", () => {
    assert.equal(normalizeWorkdir("C:\\w", "a\\b", "windows"), "\\w\\a\\b");
    assert.equal(normalizePath("/", "C:\\a\\", "windows", true), "/a/");
    assert.equal(isAbsolute("C:\\a", "windows"), true);
    assert.equal(isAbsolute("c:a", "windows"), false);
    assert.throws(() => normalizePath("/", "D:\\a", "windows", false), /not on the system drive/);
    assert.throws(() => normalizePath("/", "\\\\host\\a", "windows", false), /UNC paths are not supported/);
    assert.throws(() => normalizeWorkdir("/", "C:", "windows"), /No relative path specified in "C:"/);
  });
});

describe("parseExposedPorts()", () => {
  const messages: string[] = [];
  const lint = new Linter(defaultLintConfig, ({ message }) => messages.push(message));
  const parse = (...specs: string[]) => parseExposedPorts(specs, [], lint);

  it("counts ranges and writes protocols small", () => {
    assert.deepEqual(parse("80", "81-83/UDP", "127.0.0.1:9:10", "[::1]:8000-8001:90-91/sctp"), [
      "80/tcp",
      "81/udp",
      "82/udp",
      "83/udp",
      "10/tcp",
      "90/sctp",
      "91/sctp",
    ]);
    assert.equal(messages.length, 3);
  });

  for (const [spec, message] of [
    ["/tcp", 'invalid port: "/tcp": no port specified'],
    ["80/x", 'invalid port: "80/x": invalid proto: x'],
    ["65536", "invalid containerPort: 65536"],
    ["9-8", "invalid containerPort: 9-8"],
    ["x:80", "invalid hostPort: x"],
    ["1.2.3:1:80", "invalid IP address: 1.2.3"],
    ["1-3:8-9", "invalid ranges specified for container and host Ports: 8-9 and 1-3"],
  ] as const) {
    it(`refuses ${spec}`, () => {
      assert.throws(() => parse(spec), { message });
    });
  }
});

describe("values of flags", () => {
  it("chmod is octal or symbolic", () => {
    assert.equal(parseChmod(""), undefined);
    assert.equal(parseChmod("0644"), 0o644);
    assert.equal(parseChmod("7777"), 0o7777);
    assert.equal(parseChmod("u=rwX,go+r-w"), "u=rwX,go+r-w");
    assert.throws(() => parseChmod("10000"), /octal string and between 0 and 07777/);
    assert.throws(() => parseChmod("8"), /octal string/);
    assert.throws(() => parseChmod("u+q"), { message: "invalid syntax" });
  });

  it("checksum is a digest", () => {
    assert.equal(parseChecksum(""), undefined);
    const digest = `sha256:${"a".repeat(64)}`;
    assert.equal(parseChecksum(digest), digest);
    assert.throws(() => parseChecksum("abc"), { message: "invalid checksum digest format" });
    assert.throws(() => parseChecksum("sha256:ab"), { message: "invalid checksum digest length" });
    assert.throws(() => parseChecksum("md5:ab"), { message: "unsupported digest algorithm" });
  });
});

describe("texts", () => {
  it("durations are Go's", () => {
    for (const [nanos, text] of [
      [0, "0s"],
      [1, "1ns"],
      [1500, "1.5µs"],
      [100e6, "100ms"],
      [1.5e9, "1.5s"],
      [90e9, "1m30s"],
      [7200e9, "2h0m0s"],
    ] as const) {
      assert.equal(formatDuration(nanos), text);
    }
  });

  it("lists are quoted", () => assert.equal(formatQuotedList(["a", 'b"\n']), '["a" "b\\"\\n"]'));

  it("platforms name version and features of the os", () => {
    const windows = { os: "windows", architecture: "amd64", variant: "", osVersion: "10.0.1", osFeatures: ["b", "a"] };
    assert.equal(formatPlatformFully(windows), "windows(10.0.1+a+b)/amd64");
  });

  it("heredocs are summed up by their first line", () => {
    assert.equal(summarizeHeredoc("\n a\r\nb\n"), "a...");
    assert.equal(summarizeHeredoc("a\n"), "a");
  });
});

describe("image configs", () => {
  it("come out as Go writes them", () => {
    const text =
      '{"created":"2020-01-01T00:00:00Z","author":"a","architecture":"arm","os":"linux","variant":"v7",' +
      '"rootfs":{"type":"layers","diff_ids":null},"history":[{"created_by":"x","empty_layer":true}],' +
      '"config":{"User":"u","ExposedPorts":{"1/tcp":{},"2/tcp":{}},"Env":["A=\\u003c"],"Labels":{"a":"1","b":"2"},' +
      '"Healthcheck":{"Test":["NONE"],"Interval":5},"OnBuild":["RUN x"],"Shell":["s"]}}';
    assert.equal(Buffer.from(encodeImage(parseImage(Buffer.from(text)))).toString(), text);
  });

  it("lose unknown and empty fields", () => {
    const text = '{"os":"linux","architecture":"amd64","x":1,"config":{"Cmd":null,"y":2},"rootfs":null}';
    assert.equal(
      Buffer.from(encodeImage(parseImage(Buffer.from(text)))).toString(),
      '{"architecture":"amd64","os":"linux","rootfs":{"type":"","diff_ids":null},"config":{}}',
    );
    assert.throws(() => parseImage(Buffer.from("{")), /^BuildError: failed to parse image config/);
  });
});
