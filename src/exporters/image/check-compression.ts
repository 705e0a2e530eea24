import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import { compatibilityVersion013 } from "../../core/values/compatibility-version.ts";

/**
 * Refuses what the release that a build asks for could not write (BuildKit exporter/containerimage/writer.go).
 * @throws BuildError Unknown with errdefs.CompatibilityFeature
 */
export function checkCompression(exporter: string, compression: string, version: number): void {
  if (version !== compatibilityVersion013 || compression !== "zstd") return;
  const feature = `${exporter} exporter compression=${compression}`;
  throw new BuildError(Code.Unknown, `unsupported compatibility-version ${version} feature ${feature}`, {
    details: [
      {
        typeUrl: "github.com/moby/buildkit/errdefs.CompatibilityFeature+json",
        value: Buffer.from(JSON.stringify({ version, feature })),
      },
    ],
  });
}
