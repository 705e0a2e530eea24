import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { answers, freePort, Service } from "./service.ts";

/** An image registry on loopback, without TLS: both sides speak plain HTTP to such an address unasked. */
export interface RegistryService extends AsyncDisposable {
  /** `127.0.0.1:port` */
  readonly address: string;
}

/** Starts Debian's `docker-registry`. @param directory takes its data */
export async function startRegistry(directory: string): Promise<RegistryService> {
  await mkdir(directory, { recursive: true });
  const port = await freePort();
  const address = `127.0.0.1:${port}`;
  const config = join(directory, "config.yml");
  await writeFile(
    config,
    JSON.stringify({
      version: 0.1,
      log: { level: "error", accesslog: { disabled: true } },
      storage: { filesystem: { rootdirectory: join(directory, "data") }, delete: { enabled: true } },
      http: { addr: address },
    }),
  );
  const service = await Service.start({
    command: "docker-registry",
    args: ["serve", config],
    logFile: join(directory, "registry.log"),
    ready: () => answers(port),
  });
  return { address, [Symbol.asyncDispose]: () => service[Symbol.asyncDispose]() };
}
