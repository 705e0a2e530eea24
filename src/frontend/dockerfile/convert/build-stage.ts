import type { Range } from "../../../api/gen/ops.ts";
import { BuildError } from "../../../core/errors/build-error.ts";
import { Code } from "../../../core/errors/code.ts";
import type { Platform } from "../../../core/values/platform.ts";
import { joinPath, type LocalOptions, type State, scratch } from "../../../llb/builder/index.ts";
import type { NamedContext } from "../context/index.ts";
import { cloneImage, emptyContainerConfig, type ImageConfig } from "../image/index.ts";
import type { ArgPair, Command, Stage } from "../instructions/index.ts";
import { OutlineCapture } from "./outline-capture.ts";

/** An instruction with the stages it reads from. */
export interface StageCommand {
  readonly command: Command;
  /** COPY: at most one. RUN: one for each mount. */
  readonly sources: readonly BuildStage[];
  readonly isOnBuild: boolean;
}

/** A stage on its way from instructions to a state and an image config. Changed step by step by the converter. */
export class BuildStage {
  /** FROM's image, expanded and later normalized. */
  baseName: string;
  readonly definition: Stage;
  /** Shown in vertex names; empty in a Dockerfile of one stage. */
  name: string;
  state: State = scratch();
  image: ImageConfig = zeroImage();
  /** Config of the base image as pulled. */
  baseImage: ImageConfig | undefined;
  platform: Platform | undefined;
  base: BuildStage | undefined;
  namedContext: NamedContext | undefined;
  commands: StageCommand[] = [];
  readonly deps = new Map<BuildStage, Command>();
  buildArgs: ArgPair[] = [];
  /** Paths which the stage uses of the build context. */
  readonly contextPaths = new Set<string>();
  /** Paths which anybody uses of this stage; shared with the base stage. */
  paths = new Set<string>();
  outline: OutlineCapture;
  noCache = false;
  /** Not in the Dockerfile: an image named by `--from`. */
  readonly unregistered: boolean;
  dispatched = false;
  resolved = false;
  onBuildRead = false;
  workdirSet = false;
  readonly prefixPlatform: boolean;
  /** Number of steps shown in vertex names. */
  stepTotal = 0;
  stepIndex = 0;
  stepIsOnBuild = false;
  /** To be scanned for an SBOM of its own. */
  scanStage = false;
  /** The build context is to be scanned for an SBOM. */
  scanContext = false;
  /** Where an instruction was given of which only the last counts. */
  readonly lastUse = new Map<"cmd" | "entrypoint" | "healthcheck", readonly Range[]>();

  constructor(
    definition: Stage,
    options: {
      readonly unregistered?: boolean;
      readonly name?: string;
      readonly prefixPlatform?: boolean;
      readonly outline?: OutlineCapture;
    } = {},
  ) {
    this.definition = definition;
    this.baseName = definition.baseName;
    this.name = options.name ?? "";
    this.unregistered = options.unregistered ?? false;
    this.prefixPlatform = options.prefixPlatform ?? false;
    this.outline = options.outline ?? new OutlineCapture();
  }

  /** A stage for `--from=image`, which the Dockerfile does not declare. */
  static ofImage(baseName: string, location: readonly Range[]): BuildStage {
    const definition: Stage = {
      kind: "from",
      name: "",
      commands: [],
      instruction: "FROM",
      baseName,
      platform: "",
      docComment: "",
      code: "",
      location,
      comments: [],
    };
    return new BuildStage(definition, { unregistered: true });
  }

  /** Takes over what the base stage has become. */
  inherit(): void {
    const { base } = this;
    if (base === undefined) return;
    this.state = base.state;
    this.platform = base.platform;
    this.image = cloneImage(base.image);
    this.image.config.onBuild = []; // triggers run in the next stage only
    this.baseImage = base.baseImage;
    this.paths = base.paths;
    this.workdirSet = base.workdirSet;
    this.buildArgs.push(...base.buildArgs);
  }

  /** Restricts a local source to the paths that are used of it. */
  localOptions(): LocalOptions {
    return followPaths(this.paths);
  }

  /** This stage, its base stages, and all stages they read from. */
  reachable(): Set<BuildStage> {
    const found = new Set<BuildStage>();
    const pending: BuildStage[] = [this];
    for (let stage = pending.pop(); stage !== undefined; stage = pending.pop()) {
      if (found.has(stage)) continue;
      found.add(stage);
      pending.push(...[...stage.deps.keys()].reverse());
      if (stage.base !== undefined) pending.push(stage.base);
    }
    return found;
  }
}

/** Nothing when the whole directory is used. */
export function followPaths(paths: ReadonlySet<string>): LocalOptions {
  if (paths.size === 0 || paths.has("/")) return {};
  return { followPaths: [...paths].map((path) => joinPath(".", path)).sort() };
}

/** The stages of a Dockerfile in order, then those named by `--from` only. */
export class StageList {
  readonly all: BuildStage[] = [];
  readonly #byName = new Map<string, BuildStage>();

  add(stage: BuildStage): void {
    this.all.push(stage);
    // FROM is case-sensitive, --from is not.
    const base = this.#byName.get(stage.baseName);
    if (base !== undefined) {
      stage.base = base;
      stage.outline = base.outline.clone();
    }
    const { name } = stage.definition;
    if (name !== "") this.#byName.set(name.toLowerCase(), stage);
  }

  byName(name: string): BuildStage | undefined {
    return this.#byName.get(name.toLowerCase());
  }

  /** @throws BuildError `invalid stage index N` */
  byIndex(index: number): BuildStage {
    const stage = this.all[index];
    if (stage === undefined) throw new BuildError(Code.Unknown, `invalid stage index ${index}`);
    return stage;
  }

  names(): string[] {
    return this.all.map((stage) => stage.name).filter((name) => name !== "");
  }
}

function zeroImage(): ImageConfig {
  return {
    created: undefined,
    author: "",
    platform: { os: "", architecture: "", variant: "", osVersion: "", osFeatures: [] },
    config: emptyContainerConfig(),
    rootfs: { type: "", diffIds: undefined },
    history: [],
  };
}
