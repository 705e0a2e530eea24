import { readFile } from "node:fs/promises";
import type { Policy } from "../../api/gen/sourcepolicy.ts";
import { parsePolicy } from "../../source-policy/index.ts";
import { UsageError } from "../usage-error.ts";

/** The policy in a JSON file; without one, in that of buildx's variable. @throws UsageError when it holds none */
export async function readSourcePolicy(file: string | undefined): Promise<Policy | undefined> {
  const path = file ?? process.env["EXPERIMENTAL_BUILDKIT_SOURCE_POLICY"] ?? "";
  if (path === "") return undefined;
  const text = await readFile(path, "utf8");
  try {
    return parsePolicy(text);
  } catch (error) {
    throw new UsageError(`invalid source policy ${path}: ${(error as Error).message}`, { cause: error });
  }
}
