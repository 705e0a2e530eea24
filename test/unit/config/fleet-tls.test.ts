import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { type FleetTlsConfig, readFleetTls, resolveAgent, resolveCoordinator } from "../../../src/config/index.ts";
import { CertificateAuthority } from "../../helpers/certificate-authority.ts";

describe("fleet TLS in the configuration", () => {
  const flags = { fleetTlscert: "/c", fleetTlskey: "/k", fleetTlscacert: "/a" };
  let directory = "";
  let config = "";
  let files: FleetTlsConfig;
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), "config-"));
    config = join(directory, "buildkitd.toml");
    await writeFile(config, "");
    const ca = await CertificateAuthority.create(join(directory, "ca"));
    files = await ca.issue("host", "DNS:host");
  });
  after(() => rm(directory, { recursive: true, force: true }));

  it("is all three flags or none", async () => {
    const fleetTls = { cert: "/c", key: "/k", ca: "/a" };
    assert.deepEqual((await resolveCoordinator({ config, ...flags }, {})).config.fleetTls, fleetTls);
    assert.deepEqual((await resolveAgent({ config, ...flags }, {})).config.fleetTls, fleetTls);
    assert.equal((await resolveAgent({ config }, {})).config.fleetTls, undefined);
    const error = { name: "ConfigError", message: /^fleet TLS needs all of --fleet-tlscert, --fleet-tlskey and/ };
    for (const left of Object.keys(flags)) {
      const some = { config, ...Object.fromEntries(Object.entries(flags).filter(([name]) => name !== left)) };
      await assert.rejects(resolveCoordinator(some, {}), error);
      await assert.rejects(resolveAgent(some, {}), error);
    }
  });

  it("is missed where other hosts can listen", async () => {
    for (const host of ["0.0.0.0", "10.0.0.7", "", "[::]", "127.example.com"]) {
      const address = `${host}:7000`;
      const { warnings } = await resolveCoordinator({ config, agentLink: address }, {});
      assert.equal(warnings.length, 1, host);
      assert.match(warnings[0] ?? "", /^--agent-link .*:7000 is not encrypted/);
      assert.equal((await resolveAgent({ config, blobServer: address }, {})).warnings.length, 1, host);
      assert.deepEqual((await resolveCoordinator({ config, agentLink: address, ...flags }, {})).warnings, []);
    }
    for (const host of ["127.0.0.1", "localhost", "[::1]"]) {
      assert.deepEqual((await resolveAgent({ config, blobServer: `${host}:7000` }, {})).warnings, [], host);
    }
    assert.deepEqual((await resolveCoordinator({ config }, {})).warnings, []);
  });

  it("names the file that cannot be used", async () => {
    const read = await readFleetTls(files);
    assert.match(read.cert.toString(), /^-----BEGIN CERTIFICATE/);
    const gone = join(directory, "gone.pem");
    for (const [part, flag] of [
      ["cert", "--fleet-tlscert"],
      ["key", "--fleet-tlskey"],
      ["ca", "--fleet-tlscacert"],
    ]) {
      await assert.rejects(readFleetTls({ ...files, [part as string]: gone }), {
        name: "ConfigError",
        message: new RegExp(`^cannot read ${flag} ${gone}: ENOENT`),
      });
      await assert.rejects(readFleetTls({ ...files, [part as string]: config }), {
        name: "ConfigError",
        message: new RegExp(`${flag} ${config}\\b`),
      });
    }
  });
});
