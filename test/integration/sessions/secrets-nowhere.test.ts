import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { promisify } from "node:util";
import { connect } from "@nats-io/transport-node";
import { BuildHistoryRequest } from "../../../src/api/gen/control.ts";
import { BuildError } from "../../../src/core/errors/build-error.ts";
import { MemoryTrace } from "../../../src/telemetry/index.ts";
import {
  type BuildClient,
  fileOutput,
  filesWith,
  hasValue,
  pushOutput,
  Sandbox,
  type TestBuild,
  waitFor,
} from "../../helpers/sandbox/index.ts";
import { explain } from "../explain/explanations.ts";
import { type GitServer, startGitServer } from "../source/git-server.ts";

const main = join(import.meta.dirname, "../../../src/cli/main.ts");

/** What clients get to see of builds, beside what is on disk and on the bus. */
interface Seen {
  readonly where: string;
  readonly data: Uint8Array;
}

/**
 * A mark that is no secret goes the way of the secrets: each place where it is found is one that is searched, and each place
 * where it has to be is checked to have it.
 */
describe("values of secrets are nowhere", () => {
  let sandbox: Sandbox;
  let client: BuildClient;
  let collector: MemoryTrace;
  let git: GitServer;
  const mark = `mark${randomBytes(12).toString("hex")}`;
  const bus: Uint8Array[] = [];
  const seen: Seen[] = [];
  const see = (where: string, value: unknown) => void seen.push({ where, data: Buffer.from(text(value)) });

  const [file, env, split, token, header, nul, running] = Array.from({ length: 7 }, () =>
    randomBytes(15).toString("hex"),
  ) as [string, string, string, string, string, string, string];
  const lines = Array.from({ length: 4 }, () => randomBytes(20).toString("base64"));
  const secrets: Record<string, string> = {
    file: `${file}\n`,
    env,
    split,
    lines: `-----BEGIN KEY-----\n${lines.join("\n")}\n-----END KEY-----\n`,
    GIT_AUTH_TOKEN: token,
    "HTTP_AUTH_HEADER_127.0.0.1": `Custom ${header}`,
    nul: `${nul}\0`,
    running,
  };
  const values = [file, env, split, token, header, nul, running, ...lines];

  before(async () => {
    collector = await MemoryTrace.listen();
    git = await startGitServer();
    sandbox = await Sandbox.start({
      agents: 2,
      agent: { slots: 1 },
      env: { OTEL_EXPORTER_OTLP_ENDPOINT: collector.url },
    });
    client = await sandbox.connect();
    const connection = await connect({ servers: sandbox.nats.address });
    sandbox.defer(() => connection.close());
    connection.subscribe(">", { callback: (_error, message) => void bus.push(message.data) });
    await connection.flush();
  });
  after(async () => {
    await sandbox?.[Symbol.asyncDispose]();
    await git?.[Symbol.asyncDispose]();
    await collector?.[Symbol.asyncDispose]();
  });

  /** Builds, and keeps what the client is told. @returns the error, when it fails */
  async function build(what: TestBuild): Promise<BuildError | undefined> {
    try {
      const done = await client.build({
        ...what,
        secrets,
        onLog: (log) => see("log of a step", log),
        onVertex: (vertex) => see("vertex", vertex),
      });
      see("response", [done.response, Object.entries(done.metadata).map(([, value]) => Buffer.from(value).toString())]);
      return undefined;
    } catch (error) {
      const failure = BuildError.from(error);
      see("error", [failure.message, failure.stack, failure.details.map(({ value }) => Buffer.from(value).toString())]);
      return failure;
    }
  }

  /** Records of all builds, and what their logs say when they are asked for again. */
  async function seeHistory(): Promise<void> {
    const signal = AbortSignal.timeout(60_000);
    const request = BuildHistoryRequest.fromPartial({ EarlyExit: true });
    for await (const { record } of client.control.history(request, signal)) {
      see("record", record);
      for await (const status of client.control.status(record?.Ref ?? "", signal)) see("status of a record", status);
    }
    see("explanation", await explain(client));
  }

  async function assertNowhere(): Promise<void> {
    for (const value of values) {
      assert.equal(bus.filter((data) => hasValue(data, value)).length, 0, "a message on the bus has it");
      assert.deepEqual(await filesWith(sandbox.root, value), [], "files have it");
      assert.deepEqual([...new Set(seen.filter(({ data }) => hasValue(data, value)).map(({ where }) => where))], []);
      const spans = collector.spans().filter((span) => hasValue(Buffer.from(text(span)), value));
      assert.deepEqual(spans, [], "a span has it");
    }
  }

  const all = ["file", "lines", "split"].map((id) => `--mount=type=secret,id=${id}`).join(" ");
  const show = `echo ${mark}; env; cat /run/secrets/file /run/secrets/lines >&2; while read -r line; do echo "> $line"; done < /run/secrets/lines; \
head -c 11 /run/secrets/split; sleep 0.2; tail -c +12 /run/secrets/split; echo; set -x; : "$TOKEN"`;

  it("of a build that works, with all that is kept of it", async () => {
    const failure = await build({
      dockerfile: `FROM ${sandbox.image()}\nRUN --mount=type=cache,target=/cache ${all} --mount=type=secret,id=env,env=TOKEN ${show} && echo ${mark} > /cache/f\n`,
      options: { "attest:provenance": "mode=max" },
      outputs: [pushOutput(sandbox.image("secretive:latest")), fileOutput("oci", join(sandbox.root, "secretive.tar"))],
      cacheExports: [{ type: "registry", attributes: { ref: sandbox.image("secretive:cache"), mode: "max" } }],
    });
    assert.equal(failure, undefined);
    await seeHistory();
    await assertNowhere();
  });

  it("of steps that fail, and of those who look into them", async () => {
    const step = `RUN ${all} --mount=type=secret,id=env,env=TOKEN ${show}; exit 3`;
    const failure = await build({ dockerfile: `FROM ${sandbox.image()}\n${step}\n` });
    assert.match(failure?.message ?? "", /exit code: 3/);
    const shell = ["debug", "shell", "--", "sh", "-c", "env; cat /run/secrets/*; cat /proc/*/environ; echo looked"];
    const looked = await promisify(execFile)(process.execPath, [
      main,
      "--addr",
      sandbox.heads[0]?.address ?? "",
      ...shell,
    ]);
    assert.match(looked.stdout, /looked/);
    see("debug shell", looked);
    // What cannot be started has its environment in the words of the runtime.
    for (const [id, args] of [
      ["env", '["/no/such/program"]'],
      ["env", '["/run/secrets/file"]'],
      ["nul", "true"],
    ]) {
      const unstarted = `RUN ${all} --mount=type=secret,id=${id},env=TOKEN ${args}`;
      assert.ok((await build({ dockerfile: `FROM ${sandbox.image()}\n${unstarted}\n` })) !== undefined);
    }
    await assertNowhere();
  });

  it("of sources that want a password, given or refused", async () => {
    git.git("private.git", "init", "-q");
    await writeFile(join(git.root, "private.git", "file"), mark);
    git.git("private.git", "add", "file");
    git.git("private.git", "commit", "-q", "-m", mark);
    const basic = (secret: string) => `basic ${Buffer.from(`x-access-token:${secret}`).toString("base64")}`;
    git.requiredAuthorization = basic(token);
    const asked: (string | undefined)[] = [];
    const server = createServer((request, response) => {
      asked.push(request.headers.authorization);
      response.writeHead(request.url === "/there" ? 200 : 403).end(mark);
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    sandbox.defer(() => void server.close());
    const url = `127.0.0.1:${(server.address() as AddressInfo).port}`;
    const remotes = [git.url("private.git"), git.url("absent.git"), `http://${url}/there`, `http://${url}/forbidden`];
    const failures = [];
    for (const remote of remotes) {
      failures.push(await build({ dockerfile: `FROM ${sandbox.image()}\nADD ${remote} /added/\n` }));
    }
    git.requiredAuthorization = "basic other";
    failures.push(await build({ dockerfile: `FROM scratch\nADD ${git.url("private.git")}#other /added/\n` }));
    assert.deepEqual(
      failures.map((failure) => failure === undefined),
      [true, false, true, false, false],
      failures.map((failure) => failure?.message).join("\n"),
    );
    assert.ok(asked.includes(`Custom ${header}`));
    await assertNowhere();
  });

  it("while a step runs, and after it was cancelled", async () => {
    const cancel = new AbortController();
    const step = `RUN --mount=type=secret,id=running --mount=type=secret,id=running,env=RUNNING : ${mark}; cat /run/secrets/running; echo $RUNNING; sleep 1000`;
    const failed = build({ dockerfile: `FROM ${sandbox.image()}\n${step}\n`, signal: cancel.signal });
    await waitFor("the step to run", () => sandbox.containers().some((commands) => commands.includes("sleep 1000")));
    await assertNowhere();
    cancel.abort();
    assert.ok((await failed) !== undefined);
    await assertNowhere();
  });

  it("of what history and explanations tell, nor of logs and spans; and all of these were searched", async () => {
    await seeHistory();
    await sandbox.idle();
    await assertNowhere();
    const places = new Set(seen.filter(({ data }) => hasValue(data, mark)).map(({ where }) => where));
    for (const where of ["log of a step", "vertex", "error", "record", "status of a record", "explanation"]) {
      assert.ok(places.has(where), `${where} is not searched`);
    }
    assert.ok(bus.some((data) => hasValue(data, mark)));
    assert.ok(collector.spans().some((span) => hasValue(Buffer.from(text(span)), mark)));
    const files = await filesWith(sandbox.root, mark);
    for (const part of ["agent-", "coordinator-", "nats/", "registry/", "secretive.tar"]) {
      assert.ok(
        files.some((path) => path.startsWith(join(sandbox.root, part))),
        `${part} is not searched`,
      );
    }
    assert.ok(seen.some(({ data }) => Buffer.from(data).includes("***")));
  });
});

/** As text, bytes in it as the text they are. */
function text(value: unknown): string {
  return JSON.stringify(value, (_key, item) => {
    if (item instanceof Uint8Array) return Buffer.from(item).toString("latin1");
    if (item?.type === "Buffer") return Buffer.from(item.data).toString("latin1");
    return typeof item === "bigint" ? String(item) : item;
  });
}
