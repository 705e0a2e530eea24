export { checkAllowedSource, type FrontendImage, loadFrontendImage } from "./frontend-image.ts";
export { frontendProcess, wantsNoNetwork } from "./frontend-process.ts";
export { missingCapability } from "./image-capabilities.ts";
