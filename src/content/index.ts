export { LocalContentStore, type LocalContentStoreOptions } from "./local-content-store.ts";
