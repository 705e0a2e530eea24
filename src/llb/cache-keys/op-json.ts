import type * as pb from "../../api/gen/ops.ts";
import { bytes, flag, list, map, number, object, optional, text, texts } from "./go-json.ts";

/* JSON of LLB messages: field names and order of BuildKit solver/pb/ops.pb.go and json.go. They are part of cache keys. */

const hostIp = object<pb.HostIP>(["Host", "Host", text], ["IP", "IP", text]);
const ulimit = object<pb.Ulimit>(["Name", "Name", text], ["Soft", "Soft", number], ["Hard", "Hard", number]);

const proxyEnv = object<pb.ProxyEnv>(
  ["http_proxy", "httpProxy", text],
  ["https_proxy", "httpsProxy", text],
  ["ftp_proxy", "ftpProxy", text],
  ["no_proxy", "noProxy", text],
  ["all_proxy", "allProxy", text],
);

const meta = object<pb.Meta>(
  ["args", "args", texts],
  ["env", "env", texts],
  ["cwd", "cwd", text],
  ["user", "user", text],
  ["proxy_env", "proxyEnv", optional(proxyEnv)],
  ["extraHosts", "extraHosts", list(hostIp)],
  ["hostname", "hostname", text],
  ["ulimit", "ulimit", list(ulimit)],
  ["cgroupParent", "cgroupParent", text],
  ["removeMountStubsRecursive", "removeMountStubsRecursive", flag],
  ["validExitCodes", "validExitCodes", list(number, "0")],
);

const fileOwnedOpt = [
  ["ID", "ID", text],
  ["uid", "uid", number],
  ["gid", "gid", number],
  ["mode", "mode", number],
  ["optional", "optional", flag],
] as const;

const mount = object<pb.Mount>(
  ["input", "input", number],
  ["selector", "selector", text],
  ["dest", "dest", text],
  ["output", "output", number],
  ["readonly", "readonly", flag],
  ["mountType", "mountType", number],
  ["TmpfsOpt", "TmpfsOpt", optional(object<pb.TmpfsOpt>(["size", "size", number]))],
  ["cacheOpt", "cacheOpt", optional(object<pb.CacheOpt>(["ID", "ID", text], ["sharing", "sharing", number]))],
  ["secretOpt", "secretOpt", optional(object<pb.SecretOpt>(...fileOwnedOpt))],
  ["SSHOpt", "SSHOpt", optional(object<pb.SSHOpt>(...fileOwnedOpt))],
  ["resultID", "resultID", text],
  ["contentCache", "contentCache", number],
);

const secretEnv = object<pb.SecretEnv>(["ID", "ID", text], ["name", "name", text], ["optional", "optional", flag]);
const cdiDevice = object<pb.CDIDevice>(["name", "name", text], ["optional", "optional", flag]);

export const execOpJson = object<pb.ExecOp>(
  ["meta", "meta", optional(meta)],
  ["mounts", "mounts", list(mount)],
  ["network", "network", number],
  ["security", "security", number],
  ["secretenv", "secretenv", list(secretEnv)],
  ["cdiDevices", "cdiDevices", list(cdiDevice)],
);

const namedUser = object<pb.NamedUserOpt>(["name", "name", text], ["input", "input", number]);

/** `{"User":{"byName":…}}`; by id 0 is `{"User":{}}`. */
function userOpt({ user }: pb.UserOpt): string {
  if (user?.$case === "byName") return `{"User":{"byName":${namedUser(user.value)}}}`;
  return user === undefined || user.value === 0 ? '{"User":{}}' : `{"User":{"byId":${user.value}}}`;
}

const owner = optional(object<pb.ChownOpt>(["user", "user", optional(userOpt)], ["group", "group", optional(userOpt)]));

const copy = object<pb.FileActionCopy>(
  ["src", "src", text],
  ["dest", "dest", text],
  ["owner", "owner", owner],
  ["mode", "mode", number],
  ["followSymlink", "followSymlink", flag],
  ["dirCopyContents", "dirCopyContents", flag],
  ["attemptUnpackDockerCompatibility", "attemptUnpackDockerCompatibility", flag],
  ["createDestPath", "createDestPath", flag],
  ["allowWildcard", "allowWildcard", flag],
  ["allowEmptyWildcard", "allowEmptyWildcard", flag],
  ["timestamp", "timestamp", number],
  ["include_patterns", "includePatterns", texts],
  ["exclude_patterns", "excludePatterns", texts],
  ["alwaysReplaceExistingDestPaths", "alwaysReplaceExistingDestPaths", flag],
  ["modeStr", "modeStr", text],
  ["required_paths", "requiredPaths", texts],
);

const mkfile = object<pb.FileActionMkFile>(
  ["path", "path", text],
  ["mode", "mode", number],
  ["data", "data", bytes],
  ["owner", "owner", owner],
  ["timestamp", "timestamp", number],
);

const symlink = object<pb.FileActionSymlink>(
  ["oldpath", "oldpath", text],
  ["newpath", "newpath", text],
  ["owner", "owner", owner],
  ["timestamp", "timestamp", number],
);

const mkdir = object<pb.FileActionMkDir>(
  ["path", "path", text],
  ["mode", "mode", number],
  ["makeParents", "makeParents", flag],
  ["owner", "owner", owner],
  ["timestamp", "timestamp", number],
);

const rm = object<pb.FileActionRm>(
  ["path", "path", text],
  ["allowNotFound", "allowNotFound", flag],
  ["allowWildcard", "allowWildcard", flag],
);

/** The action alone, without its input and output numbers. Undefined when there is none. */
export function fileActionJson(action: pb.FileAction["action"]): string | undefined {
  switch (action?.$case) {
    case "copy":
      return copy(action.value);
    case "mkfile":
      return mkfile(action.value);
    case "mkdir":
      return mkdir(action.value);
    case "symlink":
      return symlink(action.value);
    case "rm":
      return rm(action.value);
    default:
      return undefined;
  }
}

export const mergeOpJson = object<pb.MergeOp>([
  "inputs",
  "inputs",
  list(object<pb.MergeInput>(["input", "input", number])),
]);

export const diffOpJson = object<pb.DiffOp>(
  ["lower", "lower", optional(object<pb.LowerDiffInput>(["input", "input", number]))],
  ["upper", "upper", optional(object<pb.UpperDiffInput>(["input", "input", number]))],
);

export const passthroughOpJson = object<pb.PassthroughOp>(
  ["id", "id", text],
  ["outputs", "outputs", list(number, "0")],
);

const progressGroup = object<pb.ProgressGroup>(["id", "id", text], ["name", "name", text], ["weak", "weak", flag]);

const linuxResources = object<pb.LinuxResources>(
  ["memory", "memory", number],
  ["memorySwap", "memorySwap", number],
  ["cpuShares", "cpuShares", number],
  ["cpuPeriod", "cpuPeriod", number],
  ["cpuQuota", "cpuQuota", number],
  ["cpusetCpus", "cpusetCpus", text],
  ["cpusetMems", "cpusetMems", text],
);

const opMetadata = object<pb.OpMetadata>(
  ["ignore_cache", "ignoreCache", flag],
  ["description", "description", map(text, '""')],
  ["export_cache", "exportCache", optional(object<pb.ExportCache>(["Value", "Value", flag]))],
  ["caps", "caps", map(flag, "false")],
  ["progress_group", "progressGroup", optional(progressGroup)],
  ["linux_resources", "linuxResources", optional(linuxResources)],
);

const position = object<pb.Position>(["line", "line", number], ["character", "character", number]);
const range = object<pb.Range>(["start", "start", optional(position)], ["end", "end", optional(position)]);
const location = object<pb.Location>(["sourceIndex", "sourceIndex", number], ["ranges", "ranges", list(range)]);

const sourceInfo = object<pb.SourceInfo>(
  ["filename", "filename", text],
  ["data", "data", bytes],
  ["definition", "definition", optional((value: pb.Definition): string => definitionJson(value))],
  ["language", "language", text],
);

const source = object<pb.Source>(
  ["locations", "locations", map(object<pb.Locations>(["locations", "locations", list(location)]))],
  ["infos", "infos", list(sourceInfo)],
);

const definitionJson = object<pb.Definition>(
  ["def", "def", list(bytes, '""')],
  ["metadata", "metadata", map(opMetadata)],
  ["Source", "Source", optional(source)],
);

export const buildOpJson = object<pb.BuildOp>(
  ["builder", "builder", number],
  ["inputs", "inputs", map(object<pb.BuildInput>(["input", "input", number]))],
  ["def", "def", optional(definitionJson)],
  ["attrs", "attrs", map(text, '""')],
);
