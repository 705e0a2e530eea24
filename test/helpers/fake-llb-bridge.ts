import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { type Definition, Op, type SourceOp } from "../../src/api/gen/ops.ts";
import { BuildError } from "../../src/core/errors/build-error.ts";
import { Code } from "../../src/core/errors/code.ts";
import type {
  BridgeLog,
  BridgeRef,
  BridgeSolveRequest,
  BridgeWarning,
  FrontendResult,
  LlbBridge,
  SourceMeta,
  SourceMetaRequest,
} from "../../src/core/seams/llb-bridge.ts";
import { normalizePlatform, type Platform } from "../../src/core/values/platform.ts";

export interface FakeBridgeOptions {
  /** Directories of the client by name. */
  readonly locals?: Readonly<Record<string, string>>;
  /** Metadata of other sources. */
  readonly resolve?: (source: SourceOp, platform: Platform | undefined) => SourceMeta | undefined;
  /** Files of other sources by identifier. */
  readonly files?: Readonly<Record<string, Uint8Array>>;
  /** Answers solves that name a frontend. */
  readonly frontend?: (request: BridgeSolveRequest) => FrontendResult;
}

/** A bridge that runs nothing: reading works on local sources and given files, the rest is recorded. */
export class FakeLlbBridge implements LlbBridge {
  readonly sessionIds: readonly string[] = ["session-1"];
  readonly solves: BridgeSolveRequest[] = [];
  readonly resolves: SourceMetaRequest[] = [];
  readonly warnings: BridgeWarning[] = [];
  readonly #options: FakeBridgeOptions;

  constructor(options: FakeBridgeOptions = {}) {
    this.#options = options;
  }

  async solve(request: BridgeSolveRequest): Promise<FrontendResult> {
    this.solves.push(request);
    if (request.frontend !== undefined) {
      const answer = this.#options.frontend?.(request);
      if (answer === undefined) throw new BuildError(Code.NotFound, `no frontend ${request.frontend}`);
      return answer;
    }
    const { definition } = request;
    if (definition === undefined || definition.def.length === 0) return { metadata: new Map() };
    return { ref: this.#ref(definition), metadata: new Map() };
  }

  async newContainer(): Promise<never> {
    throw new BuildError(Code.Unimplemented, "no containers here");
  }

  log(): BridgeLog {
    return { write: () => {}, end: () => {} };
  }

  async resolveSourceMeta(request: SourceMetaRequest): Promise<SourceMeta> {
    this.resolves.push(request);
    const meta = this.#options.resolve?.(request.source, request.platform);
    if (meta === undefined) {
      throw new BuildError(Code.NotFound, `${request.source.identifier.replace("docker-image://", "")}: not found`);
    }
    return meta;
  }

  warn(warning: BridgeWarning): void {
    this.warnings.push(warning);
  }

  workers() {
    const platform = normalizePlatform({ os: "linux", architecture: "amd64" });
    return [{ id: "worker", labels: {}, platforms: [platform] }];
  }

  /** Names that a client would see: those of all vertices, and of metadata look-ups. */
  vertexNames(): Set<string> {
    const names = new Set<string>();
    for (const { definition } of this.solves) {
      for (const { description } of Object.values(definition?.metadata ?? {})) {
        const name = description["llb.customname"];
        if (name !== undefined) names.add(name);
      }
    }
    for (const { logName } of this.resolves) if (logName !== undefined) names.add(logName);
    return names;
  }

  #ref(definition: Definition): BridgeRef {
    const unsupported = async (): Promise<never> => {
      throw new BuildError(Code.Unimplemented, "the fake bridge runs nothing");
    };
    return {
      id: `ref-${this.solves.length}`,
      definition,
      evaluate: unsupported,
      readDir: unsupported,
      statFile: unsupported,
      readFile: async (path, range) => {
        const data = await this.#read(definition, path);
        return range === undefined ? data : data.subarray(range.offset, range.offset + range.length);
      },
    };
  }

  async #read(definition: Definition, path: string): Promise<Uint8Array> {
    const head = Op.decode(definition.def.at(-2) ?? new Uint8Array());
    const identifier = head.op?.$case === "source" ? head.op.value.identifier : "";
    const file = this.#options.files?.[identifier];
    if (file !== undefined) return file;
    const directory = this.#options.locals?.[identifier.replace("local://", "")];
    if (directory === undefined) throw new BuildError(Code.NotFound, `open ${path}: no such file or directory`);
    try {
      return await readFile(join(directory, path));
    } catch {
      throw new BuildError(Code.NotFound, `open ${path}: no such file or directory`);
    }
  }
}
