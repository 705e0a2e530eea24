import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { Client, credentials } from "@grpc/grpc-js";
import { AgentLinkClient, AgentLinkServer } from "../../../src/agent-link/index.ts";
import { type FleetTlsConfig, readFleetTls } from "../../../src/config/index.ts";
import { BuildError } from "../../../src/core/errors/build-error.ts";
import { Code } from "../../../src/core/errors/code.ts";
import { silentLogger } from "../../../src/core/seams/logger.ts";
import type { MutualTls } from "../../../src/util/mutual-tls.ts";
import { CertificateAuthority, withCertificateOf } from "../../helpers/certificate-authority.ts";
import { FakeSession } from "../../helpers/fake-session.ts";

describe("AgentLink with TLS", () => {
  let directory = "";
  let head: FleetTlsConfig;
  let agent: FleetTlsConfig;
  let stranger: FleetTlsConfig;
  let server: AgentLinkServer;
  let port = 0;
  let opened = 0;

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), "buildfleet-link-"));
    const fleet = await CertificateAuthority.create(join(directory, "fleet"));
    const others = await CertificateAuthority.create(join(directory, "others"));
    head = await fleet.issue("head", "DNS:localhost");
    agent = await fleet.issue("agent", "DNS:agent");
    stranger = await others.issue("head", "DNS:localhost");
    server = new AgentLinkServer({
      logger: silentLogger,
      access: {
        open: async () => {
          opened++;
          return new FakeSession("s1", {}, "key");
        },
      },
      tls: await readFleetTls(head),
    });
    port = await server.listen("127.0.0.1:0");
  });
  after(async () => {
    await server?.[Symbol.asyncDispose]();
    await rm(directory, { recursive: true, force: true });
  });

  async function call(tls: MutualTls | undefined, host = "localhost"): Promise<string> {
    using client = new AgentLinkClient(tls === undefined ? {} : { tls });
    return (await client.group(`${host}:${port}`, "token", ["s1"]).get("s1")).sharedKey;
  }
  async function assertRefused(attempt: Promise<unknown>): Promise<void> {
    const before = opened;
    await assert.rejects(attempt, (error) => error instanceof BuildError && error.code === Code.Unavailable);
    assert.equal(opened, before);
  }

  it("lets an agent of the fleet in", async () => {
    assert.equal(await call(await readFleetTls(agent)), "key");
  });

  it("lets in no other CA's certificate, none, and nothing plain", async () => {
    await assertRefused(call(await withCertificateOf(agent, stranger)));
    await assertRefused(call(undefined));
    const bare = new Client(`localhost:${port}`, credentials.createSsl((await readFleetTls(head)).ca));
    const path = "/buildfleet.AgentLink/Call";
    const failure = await new Promise((resolve) =>
      bare.makeUnaryRequest(
        path,
        () => Buffer.alloc(0),
        () => {},
        {},
        resolve,
      ),
    );
    bare.close();
    assert.equal((failure as { code?: number } | null)?.code, Code.Unavailable);
  });

  it("speaks to no coordinator of another CA or with another name", async () => {
    await assertRefused(call(await withCertificateOf(stranger, agent)));
    await assertRefused(call(await readFleetTls(agent), "127.0.0.1"));
  });
});
