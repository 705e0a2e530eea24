import { blobTransfer } from "../micro/blob-transfer.ts";
import { contentHash } from "../micro/content-hash.ts";
import { dispatchLatency } from "../micro/dispatch.ts";
import { fileSync } from "../micro/file-sync.ts";
import { layerPack } from "../micro/layer-pack.ts";
import { solverLoop } from "../micro/solver-loop.ts";
import { wireCompression } from "../micro/wire-compression.ts";
import { bakeCached, bakeSharedContext } from "./bake.ts";
import type { BenchCase } from "./bench-case.ts";
import { cacheExport, cacheExportLarge, cacheImportHit } from "./cache-export.ts";
import { cachedGraph } from "./cached-graph.ts";
import { cachedRebuild } from "./cached-rebuild.ts";
import { contentDigests } from "./content-digests.ts";
import { contextBytes, contextFiles } from "./context-send.ts";
import { dockerfileLlb } from "./dockerfile-llb.ts";
import { exportGzip } from "./export-gzip.ts";
import { parallelStages } from "./parallel-stages.ts";
import { pullUnpack } from "./pull-unpack.ts";
import { serialRun } from "./serial-run.ts";
import { slowLink } from "./slow-link.ts";
import { swarm } from "./swarm.ts";

export type { BenchCase } from "./bench-case.ts";

/** All cases, in the order of the report. */
export const cases: readonly BenchCase[] = [
  serialRun,
  cachedRebuild,
  cachedGraph,
  dockerfileLlb,
  contextBytes,
  contextFiles,
  contentDigests,
  exportGzip,
  cacheExport,
  cacheExportLarge,
  cacheImportHit,
  pullUnpack,
  bakeSharedContext,
  bakeCached,
  parallelStages,
  solverLoop,
  contentHash,
  dispatchLatency,
  fileSync,
  layerPack,
  blobTransfer,
  wireCompression,
  swarm,
  slowLink,
];
