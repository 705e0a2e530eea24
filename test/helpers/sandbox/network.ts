import { execFile } from "node:child_process";
import { promisify } from "node:util";

const run = promisify(execFile);

async function ip(...args: readonly string[]): Promise<string> {
  return (await run("ip", args)).stdout;
}

/** A token bucket, as deep as 10 ms of its rate, with a queue of 30 ms. */
async function limitRate(where: readonly string[], device: string, megabitsPerSecond: number): Promise<void> {
  const burst = Math.max(128, Math.round((megabitsPerSecond * 1000) / 8 / 100));
  const filter = ["tbf", "rate", `${megabitsPerSecond}mbit`, "burst", `${burst}kb`, "latency", "30ms"];
  await run("tc", [...where, "qdisc", "replace", "dev", device, "root", ...filter]);
}

/** One host of the network: programs start in it with `command`. */
export interface NetworkHost {
  readonly name: string;
  readonly address: string;
  /** Prefix for an argv. Only the network changes: mounts and cgroups stay the machine's. */
  readonly command: readonly string[];
  /** Takes its cable out, or puts it in again. */
  setConnected(connected: boolean): Promise<void>;
  /** Limits its cable, each way, as a slower one would. */
  limitRate(megabitsPerSecond: number): Promise<void>;
  /** Bytes it has sent so far, with all headers. */
  sentBytes(): Promise<number>;
}

/** A private network of network namespaces on a bridge, which has an address of its own. Dispose removes all of it. */
export class SandboxNetwork implements AsyncDisposable {
  readonly address: string;
  readonly #bridge: string;
  readonly #subnet: string;
  readonly #hosts: NetworkHost[] = [];

  private constructor(bridge: string, subnet: string) {
    this.#bridge = bridge;
    this.#subnet = subnet;
    this.address = `${subnet}.1`;
  }

  static async create(): Promise<SandboxNetwork> {
    // Addresses of the shared range (RFC 6598), which nothing here uses; the bridge's name tells whether a number is taken.
    for (;;) {
      const number = Math.floor(Math.random() * 64 * 256);
      const bridge = `bft${number}`;
      const network = new SandboxNetwork(bridge, `100.${64 + (number >> 8)}.${number & 255}`);
      try {
        await ip("link", "add", bridge, "type", "bridge");
      } catch (error) {
        if (!String(error).includes("File exists")) throw error;
        continue;
      }
      try {
        await ip("addr", "add", `${network.address}/24`, "dev", bridge);
        await ip("link", "set", bridge, "up");
        return network;
      } catch (error) {
        await network[Symbol.asyncDispose]();
        throw error;
      }
    }
  }

  async addHost(): Promise<NetworkHost> {
    const number = this.#hosts.length + 2;
    const name = `${this.#bridge}-${number}`;
    const address = `${this.#subnet}.${number}`;
    const outside = `${this.#bridge}h${number}`;
    const host: NetworkHost = {
      name,
      address,
      command: ["nsenter", `--net=/run/netns/${name}`, "--"],
      setConnected: async (connected) => void (await ip("link", "set", outside, connected ? "up" : "down")),
      limitRate: async (rate) => {
        await limitRate(["-n", name], "eth0", rate);
        await limitRate([], outside, rate);
      },
      sentBytes: async () => {
        const [link] = JSON.parse(await ip("-n", name, "-j", "-s", "link", "show", "eth0"));
        return link.stats64.tx.bytes;
      },
    };
    await ip("netns", "add", name);
    this.#hosts.push(host);
    await ip("link", "add", outside, "master", this.#bridge, "type", "veth", "peer", "name", "eth0", "netns", name);
    await ip("-n", name, "addr", "add", `${address}/24`, "dev", "eth0");
    await ip("-n", name, "link", "set", "lo", "up");
    await ip("-n", name, "link", "set", "eth0", "up");
    await ip("link", "set", outside, "up");
    return host;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // A namespace takes its end of the cable with it.
    for (const host of this.#hosts.splice(0)) await ip("netns", "delete", host.name);
    await ip("link", "delete", this.#bridge);
  }
}
