import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";

/** The metadata service of an EC2 instance, version 2: values by path, read with a token; 404 where there is none. */
export class InstanceMetadata implements AsyncDisposable {
  readonly values: Record<string, string>;
  readonly #looks = new Map<string, number>();
  readonly #server: Server;

  private constructor(values: Readonly<Record<string, string>>) {
    this.values = { ...values };
    this.#server = createServer((request, response) => {
      if (request.method === "PUT" && request.url === "/latest/api/token") return void response.end("secret");
      if (request.headers["x-aws-ec2-metadata-token"] !== "secret") return void response.writeHead(401).end();
      const path = request.url?.replace("/latest/meta-data/", "") ?? "";
      this.#looks.set(path, this.looks(path) + 1);
      const value = this.values[path];
      if (value === undefined) return void response.writeHead(404).end();
      response.end(value);
    });
  }

  static async start(values: Readonly<Record<string, string>>): Promise<InstanceMetadata> {
    const metadata = new InstanceMetadata(values);
    await new Promise<void>((resolve) => metadata.#server.listen(0, "127.0.0.1", resolve));
    return metadata;
  }

  get address(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** How often a path was asked for. */
  looks(path: string): number {
    return this.#looks.get(path) ?? 0;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await new Promise<void>((resolve) => void this.#server.close(() => resolve()));
  }
}
