import assert from "node:assert/strict";
import { it } from "node:test";
import { normalizeIdentifier } from "../../../src/source/index.ts";

const git = "git://host.example.com";

it("normalizeIdentifier() gives a source one name, whatever way it is reached", () => {
  for (const [identifier, expected, attrs = {}] of [
    ["docker-image://docker.io/library/alpine:3.20", "docker-image://docker.io/library/alpine:3.20"],
    [
      "docker-image://docker.io//library/./alpine:3.20@sha256:abc",
      "docker-image://docker.io/library/alpine:3.20@sha256:abc",
    ],
    ["oci-layout://store/x@sha256:abc", "oci-layout://store/x@sha256:abc"],
    ["docker-image+blob://host//x@sha256:abc", "docker-image+blob://host/x@sha256:abc"],
    ["https://host/a/../b?c#d", "https://host/a/../b?c#d"],
    ["local://context", "local://context"],
    // What cannot be understood will fail later, by that name.
    ["docker-image://alpine", "docker-image://alpine"],
    ["docker-image://host/x:1", "docker-image://host/x:1", { "image.layerlimit": "many" }],
    ["s3://bucket", "s3://bucket"],
    ["nonsense", "nonsense"],
    ["git://host.example.com/repo.git", `${git}/repo.git`],
    ["git://https://user:pass@host.example.com:8443//repo.git/?x=y#main:/sub/", `${git}:8443/repo.git#main:sub`],
    ["git://host.example.com/repo.git#:sub", `${git}/repo.git#:sub`],
    ["git://alias/repo.git#v1", `${git}/other.git#v1`, { "git.fullurl": "ssh://git@host.example.com/other.git" }],
    ["git://alias/repo.git", `${git}/team/other.git`, { "git.fullurl": "git@host.example.com:team/other.git" }],
    ["git://alias/repo.git", `${git}/other.git`, { "git.fullurl": "host.example.com/other.git" }],
    ["git://alias/repo.git", `${git}/a b`, { "git.fullurl": "https://host.example.com/a%20b" }],
    ["git://alias/repo.git", `${git}/`, { "git.fullurl": "https://host.example.com" }],
  ] as const) {
    assert.equal(normalizeIdentifier({ identifier, attrs }), expected);
  }
});
