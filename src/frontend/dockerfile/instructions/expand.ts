import { parseMount } from "./mount.ts";
import type { Command, KeyValue, SourcesAndDest, WordExpander } from "./types.ts";

/**
 * The instruction with its words expanded. RUN gets its mounts, with variables in their values. Instructions which expand
 * nothing, or word by word while they are converted (EXPOSE), come back as they are.
 *
 * @throws what the expander throws, or BuildError for a mount.
 */
export function expand<C extends Command>(command: C, expander: WordExpander): C;
export function expand(command: Command, expander: WordExpander): Command {
  switch (command.kind) {
    case "env":
      return { ...command, env: expandPairs(command.env, expander) };
    case "label":
      return command.noExpand ? command : { ...command, labels: expandPairs(command.labels, expander) };
    case "add": {
      const chown = expander(command.chown);
      const chmod = expander(command.chmod);
      const checksum = expander(command.checksum);
      return { ...command, chown, chmod, checksum, ...expandPaths(command, expander) };
    }
    case "copy": {
      const chown = expander(command.chown);
      const chmod = expander(command.chmod);
      return { ...command, chown, chmod, ...expandPaths(command, expander) };
    }
    case "workdir":
      return { ...command, path: expander(command.path) };
    case "run":
      return { ...command, mounts: command.mountFlags.map((flag) => parseMount(flag, expander)) };
    case "user":
      return { ...command, user: expander(command.user) };
    case "volume":
      return { ...command, volumes: command.volumes.map((volume) => expander(volume)) };
    case "stopsignal":
      return { ...command, signal: expander(command.signal) };
    case "arg":
      return {
        ...command,
        args: command.args.map((arg) => ({
          ...arg,
          key: expander(arg.key),
          ...(arg.value !== undefined && { value: expander(arg.value) }),
        })),
      };
    default:
      return command;
  }
}

/**
 * The heredocs of COPY and ADD, except those with a quoted delimiter, expanded. The expander must leave quotes and escapes
 * in place. Other instructions come back as they are. @throws what the expander throws
 */
export function expandRaw<C extends Command>(command: C, expander: WordExpander): C;
export function expandRaw(command: Command, expander: WordExpander): Command {
  if (command.kind !== "add" && command.kind !== "copy") return command;
  return {
    ...command,
    sourceContents: command.sourceContents.map((content) =>
      content.expand ? { ...content, data: expander(content.data) } : content,
    ),
  };
}

function expandPairs(pairs: readonly KeyValue[], expander: WordExpander): KeyValue[] {
  return pairs.map((pair) => ({ ...pair, key: expander(pair.key), value: expander(pair.value) }));
}

function expandPaths({ sourcePaths, destPath }: SourcesAndDest, expander: WordExpander) {
  return { sourcePaths: sourcePaths.map((path) => expander(path)), destPath: expander(destPath) };
}
