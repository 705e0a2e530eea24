import { type Attestation, AttestationKind } from "../../api/gen/gateway.ts";
import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import type { Platform } from "../../core/values/platform.ts";
import { type ExecMount, FileAction, image, joinPath, marshalState, type State } from "../../llb/builder/index.ts";
import type { BuildContext, SbomConfig } from "./context/index.ts";
import { type ImageConfig, parseImage } from "./image/index.ts";

const sourceDir = "/run/src/";
const outputDir = "/run/out/";
const coreName = "sbom";

export interface ScanTargets {
  readonly core: State;
  /** Further states by name, e.g. `context`. */
  readonly extras: ReadonlyMap<string, State>;
  readonly noCache: boolean;
}

/** Runs a scanner image over build results; it leaves SPDX documents (BuildKit frontend/attestations/sbom). */
export class SbomScanner {
  readonly #context: BuildContext;
  readonly #image: string;
  readonly #config: ImageConfig;
  readonly #platform: Platform;
  readonly #parameters: ReadonlyMap<string, string>;

  private constructor(
    context: BuildContext,
    reference: string,
    config: ImageConfig,
    platform: Platform,
    parameters: ReadonlyMap<string, string>,
  ) {
    this.#context = context;
    this.#image = reference;
    this.#config = config;
    this.#platform = platform;
    this.#parameters = parameters;
  }

  /** @throws BuildError when the image cannot be had or has no command */
  static async load(
    context: BuildContext,
    { generator, parameters }: SbomConfig,
    platform: Platform,
    resolveMode: string,
    signal: AbortSignal,
  ): Promise<SbomScanner> {
    const resolved = await context.resolveImage({ reference: generator, platform, resolveMode }, signal);
    if (resolved.kind === "other") {
      throw new BuildError(
        Code.Unknown,
        `ref mutated by policy to non-image: docker-image://${generator} -> ${resolved.identifier}`,
      );
    }
    const config = parseImage(resolved.config);
    if (config.config.entrypoint.length + config.config.cmd.length === 0) {
      throw new BuildError(Code.Unknown, `scanner ${resolved.reference} does not have cmd`);
    }
    return new SbomScanner(context, resolved.reference, config, platform, parameters);
  }

  /** @param name shown to the user: the platform id */
  async scan(name: string, targets: ScanTargets, signal: AbortSignal): Promise<Attestation> {
    const definition = marshalState(this.#scanState(name, targets));
    const ref = await this.#context.solveRef(definition, undefined, signal);
    const encoder = new TextEncoder();
    return {
      kind: AttestationKind.Bundle,
      metadata: { reason: encoder.encode("sbom"), "sbom-core": encoder.encode(coreName) },
      ref: { id: ref.id, def: definition },
      path: "",
      inTotoPredicateType: "https://spdx.dev/Document",
      inTotoSubjects: [],
    };
  }

  #scanState(name: string, { core, extras, noCache }: ScanTargets): State {
    const { config } = this.#config;
    const scanner = image(this.#image, { platform: this.#platform });
    const variables = [
      ...config.env.pairs(),
      ["BUILDKIT_SCAN_DESTINATION", outputDir] as const,
      ["BUILDKIT_SCAN_SOURCE", joinPath(sourceDir, "core", coreName)] as const,
      ...(extras.size > 0 ? [["BUILDKIT_SCAN_SOURCE_EXTRAS", joinPath(sourceDir, "extras/")] as const] : []),
      ...[...this.#parameters].map(([key, value]) => [`BUILDKIT_SCAN_${key}`, value] as const),
    ];
    const prepared = scanner.withDir(config.workingDir).withEnvs(variables);
    const mounts: ExecMount[] = [
      this.#temporary(scanner),
      { target: joinPath(sourceDir, "core", coreName), source: core, readonly: true },
      ...[...extras].map(([extra, source]) => ({
        target: joinPath(sourceDir, "extras", `${coreName}-${extra}`),
        source,
        readonly: true,
      })),
      { target: outputDir },
    ];
    return prepared.runWithMount(
      {
        args: [...config.entrypoint, ...config.cmd],
        customName: `[${name}] generating sbom using ${this.#image}`,
        mounts,
        ...(noCache ? { ignoreCache: true } : {}),
      },
      outputDir,
    ).mount;
  }

  /** Windows has no tmpfs. */
  #temporary(scanner: State): ExecMount {
    if (this.#platform.os !== "windows") return { target: "/tmp", tmpfs: { sizeBytes: 0 } };
    const source = scanner.file(FileAction.none.mkdir("/tmp", 0o777, { makeParents: true }));
    return { target: "/tmp", source, selector: "/tmp", noOutput: true };
  }
}
