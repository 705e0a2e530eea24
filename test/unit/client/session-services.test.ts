import assert from "node:assert/strict";
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { createServer as createHttpServer } from "node:http";
import { type AddressInfo, createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import {
  CredentialsRequest,
  CredentialsResponse,
  FetchTokenRequest,
  FetchTokenResponse,
} from "../../../src/api/gen/auth.ts";
import { GetSecretRequest, GetSecretResponse } from "../../../src/api/gen/secrets.ts";
import { CheckAgentRequest, CheckAgentResponse } from "../../../src/api/gen/ssh.ts";
import { DockerConfig } from "../../../src/client/docker-config/docker-config.ts";
import { ExportTargets } from "../../../src/client/session/export-targets.ts";
import {
  AuthService,
  SecretsService,
  type SessionService,
  SshService,
  TokenAuthority,
  UploadService,
} from "../../../src/client/session/index.ts";
import { LocalDirectories } from "../../../src/client/session/local-directories.ts";
import { silentLogger } from "../../../src/core/seams/logger.ts";
import { FileReceiver, FileSender } from "../../../src/filesync/index.ts";
import { decodeBytesMessage, encodeBytesMessage, GrpcClient, GrpcServer } from "../../../src/grpc/index.ts";
import { duplexStreamPair } from "./stream-pair.ts";

/** A daemon's view of a client with one service. */
async function withService<T>(service: SessionService, use: (daemon: GrpcClient) => Promise<T>): Promise<T> {
  await using server = new GrpcServer({ logger: silentLogger, keepAliveIntervalMs: 0 });
  service.register(server);
  const [near, far] = duplexStreamPair();
  void server.serveDuplex(far, { peer: { address: "test" } });
  await using client = new GrpcClient(near);
  return await use(client);
}

let directory = "";
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "session-"));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

async function listening(server: Server, path: string): Promise<Server> {
  await new Promise<void>((resolve) => server.listen(path, resolve));
  return server;
}

describe("SecretsService", () => {
  const get = (daemon: GrpcClient, ID: string) =>
    daemon.unary("/moby.buildkit.secrets.v1.Secrets/GetSecret", GetSecretRequest, GetSecretResponse, {
      ID,
      annotations: {},
    });

  it("reads files and variables when they are asked for", async () => {
    const file = join(directory, "secret");
    await writeFile(file, "before");
    process.env["SESSION_TEST_SECRET"] = "from env";
    const service = await SecretsService.open([
      { id: "file", file },
      { id: "env", env: "SESSION_TEST_SECRET" },
      { id: "SESSION_TEST_SECRET" },
    ]);
    await writeFile(file, "after");
    await withService(service, async (daemon) => {
      assert.equal(Buffer.from((await get(daemon, "file")).data).toString(), "after");
      assert.equal(Buffer.from((await get(daemon, "env")).data).toString(), "from env");
      assert.equal(Buffer.from((await get(daemon, "SESSION_TEST_SECRET")).data).toString(), "from env");
      await assert.rejects(get(daemon, "other"), { code: 5 });
    });
    delete process.env["SESSION_TEST_SECRET"];
  });

  it("refuses missing and too long files at once", async () => {
    await assert.rejects(
      SecretsService.open([{ id: "a", file: join(directory, "none") }]),
      /no such file or directory/,
    );
    await writeFile(join(directory, "big"), Buffer.alloc((500 << 10) + 1));
    await assert.rejects(SecretsService.open([{ id: "a", file: join(directory, "big") }]), /secret a too big/);
  });
});

describe("LocalDirectories and ExportTargets", () => {
  it("send and receive trees over the same protocol", async () => {
    const source = join(directory, "source");
    const target = join(directory, "target");
    await mkdir(join(source, "sub"), { recursive: true });
    await writeFile(join(source, "sub", "file"), "x".repeat(3 << 20));
    await writeFile(join(source, "skip"), "");
    await mkdir(target);
    await writeFile(join(target, "kept"), "");
    await using sender = new FileSender();
    await using receiver = new FileReceiver();
    const received = join(directory, "received");
    await mkdir(received);
    await withService(new LocalDirectories(new Map([["ctx", source]]), sender), async (daemon) => {
      const metadata = { "dir-name": ["ctx"], "exclude-patterns": ["skip"] };
      await using call = daemon.open("/moby.filesync.v1.FileSync/DiffCopy", { metadata });
      await receiver.receive(call, { directory: received, differ: "none" });
      assert.deepEqual(await readdir(received), ["sub"]);
      await using other = daemon.open("/moby.filesync.v1.FileSync/DiffCopy", { metadata: { "dir-name": ["etc"] } });
      await assert.rejects(async () => {
        for await (const _ of other.messages);
      }, /no access allowed to dir "etc"/);
    });
    const targets = new Map([[1, { kind: "directory", path: target, deleteOthers: false } as const]]);
    await withService(new ExportTargets(targets, receiver), async (daemon) => {
      const metadata = { "buildkit-attachable-exporter-id": ["1"] };
      await using call = daemon.open("/moby.filesync.v1.FileSend/DiffCopy", { metadata });
      await sender.send(call, [{ directory: received, prefix: "", owner: { uid: 4711, gid: 4711 } }]);
      assert.deepEqual((await readdir(target)).sort(), ["kept", "sub"]);
      const file = await stat(join(target, "sub", "file"));
      assert.deepEqual([file.size, file.uid], [3 << 20, process.getuid?.()]);
    });
  });

  it("writes a file once its first bytes are there", async () => {
    const path = join(directory, "out.tar");
    await using receiver = new FileReceiver();
    await withService(new ExportTargets(new Map([[0, { kind: "file", path }]]), receiver), async (daemon) => {
      await using call = daemon.open("/moby.filesync.v1.FileSend/DiffCopy");
      for (let index = 0; index < 20; index++) await call.send(encodeBytesMessage(Buffer.alloc(100_000, index)));
      call.closeSend();
      for await (const _ of call.messages);
      const bytes = await readFile(path);
      assert.equal(bytes.length, 2_000_000);
      assert.equal(bytes.at(-1), 19);
      await using unknown = daemon.open("/moby.filesync.v1.FileSend/DiffCopy", {
        metadata: { "buildkit-attachable-exporter-id": ["7"] },
      });
      await assert.rejects(async () => {
        for await (const _ of unknown.messages);
      }, /exporter 7 not found/);
    });
  });

  it("reports a file that cannot be written", async () => {
    await using receiver = new FileReceiver();
    const target = { kind: "file", path: join(directory, "no", "such", "dir") } as const;
    await withService(new ExportTargets(new Map([[0, target]]), receiver), async (daemon) => {
      await using call = daemon.open("/moby.filesync.v1.FileSend/DiffCopy");
      await call.send(encodeBytesMessage(Buffer.from("x")));
      call.closeSend();
      await assert.rejects(async () => {
        for await (const _ of call.messages);
      }, /ENOENT/);
    });
  });
});

describe("SshService", () => {
  it("forwards an agent, without what would change it", async () => {
    const path = join(directory, "agent.sock");
    const seen: number[] = [];
    const agent = await listening(
      createServer((socket) =>
        socket.on("data", (data) => {
          seen.push(data[4] ?? -1);
          socket.write(Buffer.of(0, 0, 0, 5, 12, 0, 0, 0, 0));
        }),
      ),
      path,
    );
    try {
      const service = await SshService.open([{ id: "default", paths: [path], raw: false }]);
      await withService(service, async (daemon) => {
        const check = (ID: string) =>
          daemon.unary("/moby.sshforward.v1.SSH/CheckAgent", CheckAgentRequest, CheckAgentResponse, { ID });
        await check("");
        await assert.rejects(check("other"), /unset ssh forward key other/);
        await using call = daemon.open("/moby.sshforward.v1.SSH/ForwardAgent");
        const answers = call.messages[Symbol.asyncIterator]();
        const ask = async (type: number) => {
          await call.send(encodeBytesMessage(Buffer.of(0, 0, 0, 1, type)));
          return decodeBytesMessage((await answers.next()).value ?? new Uint8Array())[4];
        };
        assert.equal(await ask(11), 12);
        assert.equal(await ask(19), 5);
        assert.equal(await ask(11), 12);
        call.closeSend();
        assert.equal((await answers.next()).done, true);
        assert.deepEqual(seen, [11, 11]);
      });
    } finally {
      agent.close();
    }
  });

  it("refuses what is no socket", async () => {
    const key = join(directory, "id_ed25519");
    await writeFile(key, "");
    await assert.rejects(SshService.open([{ id: "default", paths: [key], raw: false }]), /only agent sockets/);
    await assert.rejects(SshService.open([{ id: "default", paths: [], raw: false }], {}), /SSH_AUTH_SOCK/);
  });
});

describe("UploadService", () => {
  it("gives each stream once in a session", async () => {
    const service = new UploadService();
    const archive = new Blob(["hello ", "world"]);
    const url = new URL(service.add(() => archive.stream()));
    for (let session = 0; session < 2; session++) await withService(service, pullTwice);

    async function pullTwice(daemon: GrpcClient): Promise<void> {
      const pull = async () => {
        await using call = daemon.open("/moby.upload.v1.Upload/Pull", { metadata: { urlpath: [url.pathname] } });
        call.closeSend();
        const parts: Uint8Array[] = [];
        for await (const message of call.messages) parts.push(decodeBytesMessage(message));
        return Buffer.concat(parts).toString();
      };
      assert.equal(await pull(), "hello world");
      await assert.rejects(pull(), /no http response from session/);
    }
  });
});

describe("AuthService", () => {
  it("hands out logins, and tokens got with them", async () => {
    const requests: string[] = [];
    const registry = createHttpServer(async (request, response) => {
      const body = (await request.toArray()).join("");
      requests.push(`${request.method} ${request.url} ${request.headers.authorization ?? ""} ${body}`);
      response.statusCode = request.method === "POST" ? 404 : 200;
      response.end(JSON.stringify({ token: "secret-token", expires_in: 300, issued_at: "2026-01-01T00:00:00Z" }));
    });
    await new Promise<void>((resolve) => registry.listen(0, "127.0.0.1", resolve));
    const realm = `http://127.0.0.1:${(registry.address() as AddressInfo).port}/token`;
    try {
      const auth = Buffer.from("user:pass").toString("base64");
      const service = new AuthService({
        config: new DockerConfig(directory, { auths: { "a.example": { auth } } }),
        authority: new TokenAuthority(directory),
      });
      await withService(service, async (daemon) => {
        const login = await daemon.unary(
          "/moby.filesync.v1.Auth/Credentials",
          CredentialsRequest,
          CredentialsResponse,
          {
            Host: "a.example",
          },
        );
        assert.deepEqual(login, { Username: "user", Secret: "pass" });
        const fetchToken = (Host: string) =>
          daemon.unary("/moby.filesync.v1.Auth/FetchToken", FetchTokenRequest, FetchTokenResponse, {
            ClientID: "",
            Host,
            Realm: realm,
            Service: "svc",
            Scopes: ["repository:x:pull"],
          });
        const token = await fetchToken("a.example");
        assert.deepEqual(
          [token.Token, Number(token.ExpiresIn), Number(token.IssuedAt)],
          ["secret-token", 300, 1767225600],
        );
        assert.equal((await fetchToken("anonymous.example")).Token, "secret-token");
      });
      assert.match(requests[0] ?? "", /^POST \/token .*grant_type=password&username=user&password=pass/);
      assert.equal(requests[1], `GET /token?service=svc&scope=repository%3Ax%3Apull Basic ${auth} `);
      assert.equal(requests[2], "GET /token?service=svc&scope=repository%3Ax%3Apull  ");
    } finally {
      registry.closeAllConnections();
      registry.close();
    }
  });
});
