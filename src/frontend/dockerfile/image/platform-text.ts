import { formatPlatform, type Platform } from "../../../core/values/platform.ts";

/** `windows(10.0.17763+win32k)/amd64`: with version and features of the os (containerd platforms.FormatAll). */
export function formatPlatformFully(platform: Platform): string {
  if (platform.os === "") return "unknown";
  const features = [...new Set(platform.osFeatures)].sort().map((feature) => `+${feature}`);
  const details = `${platform.osVersion}${features.join("")}`;
  const os = details === "" ? platform.os : `${platform.os}(${details})`;
  return [os, platform.architecture, platform.variant].filter((part) => part !== "").join("/");
}

/** `linux/arm/v7`, empty parts left out. */
export function formatPlatformShort(platform: Platform): string {
  return platform.os === "" ? "unknown" : formatPlatform(platform);
}
