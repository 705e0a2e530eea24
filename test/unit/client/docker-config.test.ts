import assert from "node:assert/strict";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { after, before, describe, it } from "node:test";
import { DockerConfig } from "../../../src/client/docker-config/docker-config.ts";

const base64 = (text: string) => Buffer.from(text).toString("base64");

describe("DockerConfig", () => {
  const path = process.env["PATH"];
  let directory = "";
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), "docker-config-"));
    const helper = join(directory, "docker-credential-fake");
    await writeFile(
      helper,
      `#!/bin/sh
read server
case $server in
  token.example) echo '{"ServerURL":"x","Username":"<token>","Secret":"identity"}' ;;
  user.example) echo '{"ServerURL":"x","Username":"u","Secret":"p"}' ;;
  none.example) echo 'credentials not found in native keychain'; exit 1 ;;
  *) echo "the keychain is locked" >&2; exit 1 ;;
esac
`,
    );
    await chmod(helper, 0o755);
    process.env["PATH"] = `${directory}${delimiter}${path}`;
  });
  after(async () => {
    process.env["PATH"] = path;
    await rm(directory, { recursive: true, force: true });
  });

  it("reads logins from the file, under host names and old URLs", async () => {
    const config = new DockerConfig(directory, {
      auths: {
        "a.example": { auth: base64("user:pass:word") },
        "https://b.example:5000/v1/": { username: "u", password: "p" },
        "https://index.docker.io/v1/": { auth: base64("hub:x"), identitytoken: "id" },
        "c.example": { registrytoken: "bearer" },
      },
    });
    const a = await config.login("a.example");
    assert.deepEqual([a.username, a.password], ["user", "pass:word"]);
    assert.equal((await config.login("b.example:5000")).password, "p");
    assert.equal((await config.login("registry-1.docker.io")).identityToken, "id");
    assert.equal((await config.login("c.example")).registryToken, "bearer");
    assert.equal((await config.login("unknown.example")).username, "");
  });

  it("asks credential helpers", async () => {
    const config = new DockerConfig(directory, { credsStore: "fake", auths: { "user.example": {} } });
    assert.equal((await config.login("user.example")).password, "p");
    assert.equal((await config.login("token.example")).identityToken, "identity");
    assert.equal((await config.login("none.example")).password, "");
    await assert.rejects(config.login("broken.example"), /docker-credential-fake: the keychain is locked/);
    const missing = new DockerConfig(directory, { credHelpers: { "x.example": "not-installed" } });
    await assert.rejects(missing.login("x.example"), /docker-credential-not-installed: not found on PATH/);
    assert.equal((await missing.login("y.example")).password, "");
  });

  it("takes a missing file for an empty one, and refuses one that is no JSON", async () => {
    assert.equal((await (await DockerConfig.load(join(directory, "none"))).login("a.example")).username, "");
    await writeFile(join(directory, "config.json"), "[");
    await assert.rejects(DockerConfig.load(directory), /cannot read .*config\.json/);
  });
});
