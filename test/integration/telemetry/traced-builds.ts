import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { promisify } from "node:util";
import { GetSecretRequest, GetSecretResponse } from "../../../src/api/gen/secrets.ts";
import { type BuildOutput, ControlClient, runBuild } from "../../../src/client/index.ts";
import { silentLogger } from "../../../src/core/seams/logger.ts";
import { connectGrpc, unary } from "../../../src/grpc/index.ts";

/** The trace of a client that is traced itself. */
export interface ClientTrace {
  readonly traceId: string;
  readonly spanId: string;
}

export function newTrace(): ClientTrace {
  return { traceId: randomBytes(16).toString("hex"), spanId: randomBytes(8).toString("hex") };
}

export interface TracedBuild {
  readonly directory: string;
  readonly outputs?: readonly BuildOutput[];
  /** Value of every secret asked for. */
  readonly secret?: string;
}

/** Builds a directory with our own client, every call within the trace. @throws BuildError */
export async function tracedBuild(address: string, trace: ClientTrace, build: TracedBuild): Promise<void> {
  const metadata = { traceparent: [`00-${trace.traceId}-${trace.spanId}-01`] };
  await using grpc = await connectGrpc(address, { metadata });
  const secrets = unary(GetSecretRequest, GetSecretResponse, () => ({ data: Buffer.from(build.secret ?? "") }));
  await runBuild(
    new ControlClient(grpc),
    {
      ref: randomBytes(12).toString("hex"),
      frontend: "dockerfile.v0",
      frontendOptions: {},
      localDirectories: new Map([
        ["context", build.directory],
        ["dockerfile", build.directory],
      ]),
      outputs: build.outputs ?? [],
      cacheExports: [],
      cacheImports: [],
      entitlements: [],
      services: [{ register: (server) => server.handle("/moby.buildkit.secrets.v1.Secrets/GetSecret", secrets) }],
    },
    { logger: silentLogger, signal: new AbortController().signal, onStatus: () => {} },
  );
}

/** Builds a directory with buildctl, which starts a trace of its own and sends its spans to the daemon. */
export async function buildctlBuild(buildctl: string, address: string, directory: string): Promise<void> {
  const locals = ["context", "dockerfile"].flatMap((name) => ["--local", `${name}=${directory}`]);
  const env = Object.entries(process.env).filter(([name]) => !name.startsWith("OTEL_"));
  await promisify(execFile)(
    buildctl,
    ["--addr", address, "build", "--frontend", "dockerfile.v0", ...locals, "--progress=plain"],
    { env: Object.fromEntries(env), timeout: 120_000 },
  );
}
