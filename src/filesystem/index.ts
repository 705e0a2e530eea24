export { type BytePath, bytePath, fsPath, isAscii, pathBytes, textPath } from "./byte-path.ts";
export { type CopyOptions, copyTree, makeDirectories, type Owner, setOwner } from "./copier.ts";
export {
  type ActionRoots,
  archiveCandidate,
  checkCopyTarget,
  copyAction,
  copySources,
  mkdirAction,
  mkfileAction,
  rmAction,
  symlinkAction,
  unpackTarget,
} from "./file-actions.ts";
export {
  deviceMajor,
  deviceMinor,
  fromGoMode,
  GoMode,
  goPermissions,
  isGoDir,
  isGoRegular,
  isGoSymlink,
  toGoMode,
} from "./file-mode.ts";
export { type FileStat, type LinkTable, statFile } from "./file-stat.ts";
export { findWildcards } from "./find-wildcards.ts";
export { followPaths } from "./follow-paths.ts";
export { attempt, attemptWith, errnoOf, errnoText, FsError, isMissing, withContext } from "./fs-error.ts";
export { BadPatternError, goMatch } from "./go-match.ts";
export {
  basePath,
  cleanPath,
  comparePaths,
  containsWildcards,
  dirPath,
  joinPath,
  quotePath,
  splitPath,
  splitWildcards,
} from "./go-path.ts";
export { readXattrs, writeNode, writeTimes, writeXattr } from "./native.ts";
export {
  compilePatterns,
  type ParentMatches,
  type PathMatch,
  PathPattern,
  PatternMatcher,
} from "./pattern-matcher.ts";
export { type ResolveOptions, resolveInRoot } from "./resolve-in-root.ts";
export { parseSymbolicMode } from "./symbolic-mode.ts";
export { lookupGroup, lookupUser } from "./user-files.ts";
export { listDirectory, type WalkFilter, type WalkVisitor, walkTree } from "./walk.ts";
export { type JobOptions, WorkerLease, WorkerPool, type WorkerPoolOptions } from "./worker-pool.ts";
export { type JobContext, type JobTable, serveJobs } from "./worker-server.ts";
