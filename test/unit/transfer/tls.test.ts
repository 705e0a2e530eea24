import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { request } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { type FleetTlsConfig, readFleetTls } from "../../../src/config/index.ts";
import { LocalContentStore } from "../../../src/content/index.ts";
import { BuildError } from "../../../src/core/errors/build-error.ts";
import { Code } from "../../../src/core/errors/code.ts";
import { silentLogger } from "../../../src/core/seams/logger.ts";
import { sha256 } from "../../../src/core/values/digest.ts";
import { BlobServer, HttpBlobTransport, TransferTokens } from "../../../src/transfer/index.ts";
import type { MutualTls } from "../../../src/util/mutual-tls.ts";
import { CertificateAuthority, withCertificateOf } from "../../helpers/certificate-authority.ts";

const data = Buffer.alloc(3 << 20, "layer bytes ");
const digest = sha256(data);
const tokens = new TransferTokens(Buffer.from("fleet key"));

describe("transfer between agents with TLS", () => {
  const owned = new AsyncDisposableStack();
  let own: FleetTlsConfig;
  let peer: FleetTlsConfig;
  let stranger: FleetTlsConfig;
  let port = 0;

  before(async () => {
    const directory = await mkdtemp(join(tmpdir(), "buildfleet-transfer-"));
    owned.defer(() => rm(directory, { recursive: true, force: true }));
    const fleet = await CertificateAuthority.create(join(directory, "fleet"));
    const others = await CertificateAuthority.create(join(directory, "others"));
    // No name of theirs is the address that is dialled.
    own = await fleet.issue("one", "DNS:one");
    peer = await fleet.issue("two", "DNS:two");
    stranger = await others.issue("three", "DNS:three");
    const content = await LocalContentStore.open(join(directory, "content"));
    await content.write(
      (async function* () {
        yield data;
      })(),
    );
    const packLayer = async () => ({ mediaType: "m", digest, size: data.length });
    const server = owned.use(
      new BlobServer({ content, packLayer, tokens, logger: silentLogger, tls: await readFleetTls(own) }),
    );
    port = await server.listen("127.0.0.1", 0);
  });
  after(() => owned.disposeAsync());

  async function read(tls: MutualTls | undefined, scheme = "https"): Promise<Buffer> {
    await using transport = new HttpBlobTransport(tokens, tls);
    const chunks: Uint8Array[] = [];
    const blob = transport.readBlob(`${scheme}://127.0.0.1:${port}`, digest, 0, new AbortController().signal);
    for await (const chunk of blob) chunks.push(chunk);
    return Buffer.concat(chunks);
  }
  const assertRefused = (attempt: Promise<unknown>) =>
    assert.rejects(
      attempt,
      (error) => error instanceof BuildError && error.code === Code.Unavailable && error.infrastructure,
    );

  it("gives blobs to agents of the fleet", async () => {
    assert.ok((await read(await readFleetTls(peer))).equals(data));
  });

  it("gives parts of blobs, straight to their place", async () => {
    await using transport = new HttpBlobTransport(tokens, await readFleetTls(peer));
    const into = [new Uint8Array(1 << 20), new Uint8Array(77)];
    const signal = new AbortController().signal;
    for (const start of [0, 1_000_001]) {
      await transport.readInto(`https://127.0.0.1:${port}`, digest, start, into, signal, () => {});
      assert.ok(Buffer.concat(into).equals(data.subarray(start, start + (1 << 20) + 77)));
    }
    await using other = new HttpBlobTransport(tokens, await withCertificateOf(peer, stranger));
    await assertRefused(other.readInto(`https://127.0.0.1:${port}`, digest, 0, into, signal, () => {}));
    await using bare = new HttpBlobTransport(tokens);
    await assertRefused(bare.readInto(`http://127.0.0.1:${port}`, digest, 0, into, signal, () => {}));
  });

  it("gives nothing to another CA's certificate, to none, and over plain HTTP", async () => {
    await assertRefused(read(await withCertificateOf(peer, stranger)));
    await assertRefused(read(undefined, "http"));
    const { ca } = await readFleetTls(own);
    const path = `/v1/blobs/${digest}`;
    const bare = request({
      ...{ host: "127.0.0.1", port, path, ca, checkServerIdentity: () => undefined },
      headers: { authorization: `Bearer ${tokens.sign(path)}` },
    });
    const answer = new Promise((resolve, reject) => bare.once("response", resolve).once("error", reject));
    bare.end();
    await assert.rejects(answer);
  });

  it("takes nothing from a peer of another CA or without TLS", async () => {
    await assertRefused(read(await withCertificateOf(stranger, peer)));
    await assert.rejects(read(await readFleetTls(peer), "http"), /it has no TLS, this agent has/);
  });
});
