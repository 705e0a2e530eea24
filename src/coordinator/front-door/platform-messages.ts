import type { Platform as PlatformMessage } from "../../api/gen/ops.ts";
import { normalizePlatform, type Platform } from "../../core/values/platform.ts";

export function platformToMessage(platform: Platform): PlatformMessage {
  return {
    OS: platform.os,
    Architecture: platform.architecture,
    Variant: platform.variant,
    OSVersion: platform.osVersion,
    OSFeatures: [...platform.osFeatures],
  };
}

/** Normalized. */
export function platformFromMessage(message: PlatformMessage): Platform {
  return normalizePlatform({
    os: message.OS,
    architecture: message.Architecture,
    variant: message.Variant,
    osVersion: message.OSVersion,
    osFeatures: message.OSFeatures,
  });
}
