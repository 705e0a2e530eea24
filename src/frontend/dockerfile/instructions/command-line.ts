/** Arguments of RUN, CMD, ENTRYPOINT, SHELL: the JSON array as it is, or the shell form as one string. */
export function commandLine(args: readonly string[], json: boolean): readonly string[] {
  return json || args.length === 0 ? args : [args.join(" ")];
}
