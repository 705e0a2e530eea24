import { randomBytes } from "node:crypto";
import { ControlClient, connectDaemon, runBuild } from "../../src/client/index.ts";
import { silentLogger } from "../../src/core/seams/logger.ts";
import type { Endpoint } from "../endpoints/endpoint.ts";
import type { BuildClient, BuildSpec } from "./build-client.ts";

const forever = new AbortController().signal;

/** Our client library in this process, a connection per build. */
export class OwnClient implements BuildClient {
  readonly description = "Buildfleet's client library";

  async build(endpoint: Endpoint, { dockerfile, context, buildArgs, output }: BuildSpec): Promise<void> {
    await using connection = await connectDaemon({ address: endpoint.address, timeoutMs: 10_000 });
    const options = Object.entries(buildArgs ?? {}).map(([name, value]) => [`build-arg:${name}`, value] as const);
    await runBuild(
      new ControlClient(connection),
      {
        ref: randomBytes(16).toString("hex"),
        frontend: "dockerfile.v0",
        frontendOptions: Object.fromEntries(options),
        outputs:
          output === undefined
            ? []
            : [
                {
                  type: output.type,
                  attributes: output.attributes,
                  ...(output.file === undefined ? {} : { target: { kind: "file", path: output.file } }),
                },
              ],
        cacheExports: [],
        cacheImports: [],
        entitlements: [],
        localDirectories: new Map([
          ["context", context],
          ["dockerfile", dockerfile],
        ]),
        services: [],
      },
      { logger: silentLogger, signal: forever, onStatus: () => {} },
    );
  }

  async prune(endpoint: Endpoint): Promise<void> {
    await using connection = await connectDaemon({ address: endpoint.address, timeoutMs: 10_000 });
    const request = { filter: [], all: true, keepDuration: 0n, reservedSpace: 0, maxUsedSpace: 0, minFreeSpace: 0 };
    for await (const _ of new ControlClient(connection).prune(request, forever));
  }
}
