import { randomBytes } from "node:crypto";
import { ContentStores } from "../../src/cli/build/content-stores.ts";
import { type BuildRequest, ControlClient, connectDaemon, runBuild } from "../../src/client/index.ts";
import { silentLogger } from "../../src/core/seams/logger.ts";
import type { Endpoint } from "../endpoints/endpoint.ts";
import type { BuildClient, BuildSpec, GraphSpec } from "./build-client.ts";

const forever = new AbortController().signal;

/** Our client library in this process, a connection per build. */
export class OwnClient implements BuildClient {
  readonly description = "Buildfleet's client library";

  async build(endpoint: Endpoint, { dockerfile, context, buildArgs, options, output }: BuildSpec): Promise<void> {
    const args = Object.entries(buildArgs ?? {}).map(([name, value]) => [`build-arg:${name}`, value] as const);
    await this.#run(endpoint, {
      frontend: "dockerfile.v0",
      frontendOptions: { ...Object.fromEntries(args), ...options },
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
      localDirectories: new Map([
        ["context", context],
        ["dockerfile", dockerfile],
      ]),
    });
  }

  async solve(endpoint: Endpoint, { definition, cacheTo, cacheFrom }: GraphSpec): Promise<void> {
    const stores = new ContentStores((text) => process.stderr.write(text));
    const to = cacheTo === undefined ? [] : [{ type: "local", attributes: { dest: cacheTo, mode: "max" } }];
    const from = cacheFrom === undefined ? [] : [{ type: "local", attributes: { src: cacheFrom } }];
    for (const option of to) stores.addCacheExport(option);
    const found = await Promise.all(from.map((option) => stores.resolveCacheImport(option)));
    const { exporterResponse } = await this.#run(endpoint, {
      definition,
      cacheExports: to,
      cacheImports: found.filter((option) => option !== undefined),
      services: stores.services,
    });
    await stores.finish(exporterResponse);
  }

  async prune(endpoint: Endpoint): Promise<void> {
    await using connection = await connectDaemon({ address: endpoint.address, timeoutMs: 10_000 });
    const request = { filter: [], all: true, keepDuration: 0n, reservedSpace: 0, maxUsedSpace: 0, minFreeSpace: 0 };
    for await (const _ of new ControlClient(connection).prune(request, forever));
  }

  async #run(endpoint: Endpoint, request: Partial<BuildRequest>) {
    await using connection = await connectDaemon({ address: endpoint.address, timeoutMs: 10_000 });
    return runBuild(
      new ControlClient(connection),
      {
        ref: randomBytes(16).toString("hex"),
        frontendOptions: {},
        outputs: [],
        cacheExports: [],
        cacheImports: [],
        entitlements: [],
        localDirectories: new Map(),
        services: [],
        ...request,
      },
      { logger: silentLogger, signal: forever, onStatus: () => {} },
    );
  }
}
