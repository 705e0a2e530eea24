import assert from "node:assert/strict";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { after, before, describe, it } from "node:test";
import { Definition } from "../../../src/api/gen/ops.ts";
import { dockerfileRequest, withTags } from "../../../src/cli/build/dockerfile-request.ts";
import { metadataJson } from "../../../src/cli/build/metadata-file.ts";
import { parseCacheExport, parseCacheImport } from "../../../src/cli/build/parse-cache.ts";
import { parseOutput } from "../../../src/cli/build/parse-output.ts";
import { parseDirectories, parsePairs } from "../../../src/cli/build/parse-pairs.ts";
import { parseRegistryTls } from "../../../src/cli/build/parse-registry-tls.ts";
import { parseSecret } from "../../../src/cli/build/parse-secret.ts";
import { parseSsh } from "../../../src/cli/build/parse-ssh.ts";
import { readDefinition } from "../../../src/cli/build/read-definition.ts";
import { daemonAddress } from "../../../src/cli/client-options.ts";
import { csvFields } from "../../../src/cli/csv-fields.ts";
import { filtersOf } from "../../../src/cli/usage-records.ts";
import { sha256 } from "../../../src/core/values/digest.ts";

let directory = "";
before(async () => {
  directory = await mkdtemp(join(tmpdir(), "flags-"));
  await mkdir(join(directory, "ctx"));
  await writeFile(join(directory, "ctx", "Dockerfile"), "FROM scratch\n");
});
after(() => rm(directory, { recursive: true, force: true }));

describe("filtersOf()", () => {
  it("narrows every filter to an agent", () => {
    assert.deepEqual(filtersOf(["type==regular", "mutable"]), ["type==regular", "mutable"]);
    assert.deepEqual(filtersOf([], "a1"), ['agent=="a1"']);
    const filters = filtersOf(["type==regular", "mutable"], "a1");
    assert.deepEqual(filters, ['agent=="a1",type==regular', 'agent=="a1",mutable']);
  });
});

describe("csvFields()", () => {
  for (const [line, fields] of [
    ["a,b", ["a", "b"]],
    ['"a,b",c', ["a,b", "c"]],
    ['"say ""hi""",', ['say "hi"', ""]],
    ["", [""]],
  ] as const) {
    it(`splits ${line}`, () => assert.deepEqual(csvFields(line), fields));
  }
  for (const line of ['"a', '"a"b', 'a"b']) {
    it(`refuses ${line}`, () => assert.throws(() => csvFields(line), { name: "UsageError" }));
  }
});

describe("parseOutput()", () => {
  it("keeps attributes and takes the destination out", async () => {
    assert.deepEqual(await parseOutput(`type=local,dest=${directory},mode=delete`), {
      type: "local",
      attributes: { mode: "delete" },
      target: { kind: "directory", path: directory, deleteOthers: true },
    });
    assert.deepEqual(await parseOutput(`type=oci,name=a,dest=${directory}/a.tar`), {
      type: "oci",
      attributes: { name: "a" },
      target: { kind: "file", path: join(directory, "a.tar") },
    });
    assert.deepEqual(await parseOutput('type=image,"name=a,b",push=true'), {
      type: "image",
      attributes: { name: "a,b", push: "true" },
    });
  });

  it("knows docker's short forms", async () => {
    assert.deepEqual((await parseOutput(directory)).target, {
      kind: "directory",
      path: directory,
      deleteOthers: false,
    });
    assert.deepEqual(await parseOutput("-", false), { type: "tar", attributes: {}, target: { kind: "stdout" } });
  });

  for (const [text, message] of [
    ["type=tar", "output file is required for tar exporter. refusing to write to console"],
    ["type=local", "output directory is required for local exporter: add dest=<dir>"],
    ["name=x", "--output requires type=<type>"],
    ["type=image,dest=x", "output x is not supported by image exporter"],
    ["type=oci,output=x", "output=x not supported for --output, you meant dest=x?"],
    ["type=tar,dest=/", "destination file is a directory: /"],
    ["type=tar,dest=/no/such/x.tar", "invalid destination file: /no/such/x.tar: no such directory"],
    ["type=local,dest=x,mode=move", 'invalid local exporter mode "move": expected copy or delete'],
    ["type=local,bare", "invalid value bare: expected key=value"],
  ] as const) {
    it(`refuses ${text}`, async () => {
      await assert.rejects(parseOutput(text, true), { name: "UsageError", message });
    });
  }
});

describe("parseSecret() and parseSsh()", () => {
  it("read what buildctl reads", () => {
    assert.deepEqual(parseSecret("id=a,src=/f"), { id: "a", file: "/f" });
    assert.deepEqual(parseSecret("id=a,env=B"), { id: "a", env: "B" });
    assert.deepEqual(parseSecret("type=env,id=a,src=B"), { id: "a", env: "B" });
    assert.deepEqual(parseSecret("id=a"), { id: "a" });
    assert.deepEqual(parseSsh("default"), { id: "default", paths: [], raw: false });
    assert.deepEqual(parseSsh("x=/s,raw=true"), { id: "x", paths: ["/s"], raw: true });
  });

  it("refuse what makes no sense", () => {
    assert.throws(() => parseSecret("src=/f"), /has no id/);
    assert.throws(() => parseSecret("id=a,type=vault"), /unsupported secret type "vault"/);
    assert.throws(() => parseSecret("id=a,file=b"), /unexpected key 'file'/);
    assert.throws(() => parseSsh("x=raw=true"), /exactly one socket path for "x"/);
    assert.throws(() => parseSsh("x=/s,raw=maybe"), /invalid value for 'raw': maybe/);
  });
});

describe("cache flags", () => {
  it("understand a bare name as an image", () => {
    assert.deepEqual(parseCacheExport("example.com/c"), {
      type: "registry",
      attributes: { mode: "min", ref: "example.com/c" },
    });
    assert.deepEqual(parseCacheImport("example.com/c"), { type: "registry", attributes: { ref: "example.com/c" } });
  });

  it("take GitHub's service from the environment", () => {
    const env = { ACTIONS_RESULTS_URL: "https://r", ACTIONS_CACHE_SERVICE_V2: "true", ACTIONS_RUNTIME_TOKEN: "t" };
    assert.deepEqual(parseCacheExport("type=gha,mode=max", env).attributes, {
      mode: "max",
      url: "https://r",
      url_v2: "https://r",
      token: "t",
    });
    assert.throws(() => parseCacheImport("type=gha", {}), /requires url parameter/);
  });
});

describe("parseRegistryTls()", () => {
  it("adds up what is given for a host", () => {
    const hosts = parseRegistryTls(["host=a,ca=/1", "host=a,ca=/2,cert=/c,key=/k", "host=b,insecure=true"]);
    assert.deepEqual(hosts.get("a"), { insecure: false, ca: ["/1", "/2"], keyPairs: [{ cert: "/c", key: "/k" }] });
    assert.equal(hosts.get("b")?.insecure, true);
  });

  for (const text of ["ca=/1", "host=a", "host=a,cert=/c"]) {
    it(`refuses ${text}`, () => assert.throws(() => parseRegistryTls([text]), { name: "UsageError" }));
  }
});

describe("key=value flags", () => {
  it("split at the first equals sign", () => {
    assert.deepEqual(parsePairs("--opt", ["build-arg:A=b=c", "x="]), { "build-arg:A": "b=c", x: "" });
    assert.throws(() => parsePairs("--opt", ["novalue"]), /expected key=value/);
  });

  it("check directories", async () => {
    assert.deepEqual([...(await parseDirectories("--local", [`a=${directory}`]))], [["a", directory]]);
    await assert.rejects(parseDirectories("--local", ["a=/no/such"]), /--local: no such directory: \/no\/such/);
  });
});

describe("Dockerfile builds", () => {
  const noFlags = { tag: [], push: false, buildArg: [], platform: [], label: [] };

  it("name frontend options and directories", async () => {
    const request = await dockerfileRequest(
      join(directory, "ctx"),
      { ...noFlags, buildArg: ["A=1", "FROM_ENV", "UNSET"], platform: ["linux/amd64", "linux/arm64"], target: "t" },
      undefined,
      { FROM_ENV: "e" },
    );
    assert.deepEqual(request.frontendOptions, {
      filename: "Dockerfile",
      "build-arg:A": "1",
      "build-arg:FROM_ENV": "e",
      target: "t",
      platform: "linux/amd64,linux/arm64",
    });
    assert.deepEqual([...request.localDirectories.keys()], ["context", "dockerfile"]);
  });

  it("leave URLs to the daemon", async () => {
    const url = "https://example.com/repo.git#main:sub";
    const request = await dockerfileRequest(url, { ...noFlags, file: "a/Dockerfile" }, undefined, {});
    assert.deepEqual(request.frontendOptions, { context: url, filename: "a/Dockerfile" });
    assert.equal(request.localDirectories.size, 0);
  });

  it("say which file is missing", async () => {
    await assert.rejects(dockerfileRequest(directory, noFlags, undefined, {}), /no such Dockerfile/);
    await assert.rejects(dockerfileRequest("/no/such", noFlags, undefined, {}), /no such directory: \/no\/such/);
  });

  it("name outputs by tags, and push", () => {
    const oci = { type: "oci", attributes: {}, target: { kind: "stdout" } } as const;
    assert.deepEqual(withTags([], { ...noFlags, tag: ["a", "b"] }), [{ type: "image", attributes: { name: "a,b" } }]);
    assert.deepEqual(withTags([oci], { ...noFlags, tag: ["a"] }), [{ ...oci, attributes: { name: "a" } }]);
    assert.deepEqual(withTags([oci], { ...noFlags, tag: ["a"], push: true }), [
      { ...oci, attributes: { name: "a" } },
      { type: "image", attributes: { name: "a", push: "true" } },
    ]);
    assert.throws(() => withTags([], { ...noFlags, push: true }), /--push needs an image name/);
  });
});

describe("readDefinition()", () => {
  const op = Uint8Array.of(1, 2, 3);
  const bytes = Definition.encode(Definition.fromPartial({ def: [op] })).finish();

  it("marks every vertex when the cache is not to be used", async () => {
    const read = Definition.decode(await readDefinition(Readable.from([bytes]), true));
    assert.equal(read.metadata[sha256(op)]?.ignoreCache, true);
    assert.deepEqual(await readDefinition(Readable.from([bytes]), false), Buffer.from(bytes));
  });

  it("refuses other input", async () => {
    await assert.rejects(readDefinition(Readable.from([]), false), /empty definition/);
    await assert.rejects(readDefinition(Readable.from([Buffer.from("hello world")]), false), { name: "UsageError" });
  });
});

describe("metadataJson()", () => {
  it("spells out JSON objects and leaves other values alone", () => {
    const descriptor = Buffer.from('{"size":1}').toString("base64");
    const text = metadataJson({ "b.descriptor": descriptor, "a.digest": "sha256:00", "image.name": "abcd" });
    assert.deepEqual(JSON.parse(text), { "a.digest": "sha256:00", "b.descriptor": { size: 1 }, "image.name": "abcd" });
    assert.ok(text.indexOf("a.digest") < text.indexOf("b.descriptor"));
  });
});

describe("daemonAddress()", () => {
  it("prefers the flag, then our variable, then buildctl's", async () => {
    const env = { BUILDFLEET_ADDR: "tcp://a:1", BUILDKIT_HOST: "tcp://b:1" };
    assert.equal((await daemonAddress({ addr: "tcp://f:1" }, env)).address, "tcp://f:1");
    assert.equal((await daemonAddress({}, env)).address, "tcp://a:1");
    assert.equal((await daemonAddress({}, { BUILDKIT_HOST: "tcp://b:1" })).address, "tcp://b:1");
    assert.equal((await daemonAddress({}, {})).address, "unix:///run/buildkit/buildkitd.sock");
  });

  it("finds TLS files in a directory under either name", async () => {
    const tls = join(directory, "tls");
    await mkdir(tls);
    for (const name of ["ca.crt", "cert.pem", "tls.key"]) await writeFile(join(tls, name), "");
    assert.deepEqual((await daemonAddress({ tlsdir: tls }, {})).tls, {
      ca: join(tls, "ca.crt"),
      cert: join(tls, "cert.pem"),
      key: join(tls, "tls.key"),
    });
    await assert.rejects(daemonAddress({ tlsdir: directory }, {}), /has neither ca.pem nor ca.crt/);
    await assert.rejects(daemonAddress({ tlsdir: tls, tlskey: "x" }, {}), /at the same time/);
    await assert.rejects(daemonAddress({ tlscacert: "/no/such" }, {}), /cannot read \/no\/such/);
  });
});
