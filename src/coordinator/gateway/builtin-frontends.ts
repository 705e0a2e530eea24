import type { FrontDoorConfig } from "../../config/index.ts";
import type { Frontend } from "../../core/seams/frontend.ts";
import type { Logger } from "../../core/seams/logger.ts";
import { DockerfileFrontend } from "../../frontend/index.ts";
import { llbCapabilities } from "../../llb/capabilities.ts";
import { GatewayFrontend } from "./gateway-frontend.ts";

/** Those that the configuration lets be, by name. */
export function frontendsOf(config: FrontDoorConfig, logger: Logger): ReadonlyMap<string, Frontend> {
  const { disabledFrontends = [], frontendRepositories = [] } = config;
  const frontends = [
    new DockerfileFrontend(),
    new GatewayFrontend({ llbCapabilities, logger, allowedRepositories: frontendRepositories }),
  ];
  const enabled = frontends.filter(({ name }) => !disabledFrontends.includes(name));
  return new Map(enabled.map((frontend) => [frontend.name, frontend]));
}
