/**
 * Frontend API capabilities that work here (BuildKit frontend/gateway/pb/caps.go). A client that misses one either falls back
 * or refuses; one that is promised and does not work fails in the middle of a build.
 */
export const frontendCapabilities: readonly string[] = [
  "solve.base",
  "solve.inlinereturn",
  "resolveimage",
  "resolveimage.resolvemode",
  "readfile",
  "return",
  "returnmap",
  "readdir",
  "statfile",
  "importcaches",
  "proto.refarray",
  "reference.output",
  "frontend.inputs",
  "gateway.solve.metadata",
  "gateway.exec",
  "gateway.exec.extrahosts",
  "gateway.exec.secretenv",
  "gateway.exec.signals",
  "gateway.exec.filesystem",
  "frontend.caps",
  "gateway.solve.evaluate",
  "gateway.evaluate",
  "gateway.warnings",
  "reference.attestations",
  "source.metaresolver",
  "source.metaresolver.image.attestations",
  "source.metaresolver.http.checksumrequest",
];
