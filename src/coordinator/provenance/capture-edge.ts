import { type ExecOp, MountType, NetMode, type SourceOp } from "../../api/gen/ops.ts";
import type { Edge, Op, Vertex } from "../../core/seams/op.ts";
import { isDigest } from "../../core/values/digest.ts";
import { formatImageSpec, parseImageSpec } from "../../core/values/image-reference.ts";
import type { Ref } from "../../core/values/layer.ts";
import type { LlbPayload } from "../../llb/definition/index.ts";
import { parseGitIdentifier, splitIdentifier } from "../../source/index.ts";
import { Capture } from "./capture.ts";

/** The solver's view of a built graph. */
export interface GraphWalk {
  walk(edge: Edge, visit: (vertex: Vertex, op: Op<Ref> | undefined) => void): void;
}

/** What went into an edge that is built (BuildKit solver/llbsolver/provenance.go, captureProvenance). */
export function captureEdge(edge: Edge, graph: GraphWalk): Capture {
  const capture = new Capture();
  graph.walk(edge, (vertex, op) => {
    // Not needed: found in the cache by what is above it.
    if (op === undefined) return;
    const payload = vertex.payload as LlbPayload;
    const { op: made } = payload.op;
    if (made?.$case === "source") captureSource(capture, made.value, payload, op.pin);
    else if (made?.$case === "exec") captureExec(capture, made.value);
    // Nobody looks into nested graphs.
    else if (made?.$case === "build") capture.incomplete = true;
  });
  return capture;
}

function captureSource(capture: Capture, source: SourceOp, { platform }: LlbPayload, pin: string | undefined): void {
  const { scheme, ref } = splitIdentifier(source.identifier);
  if (scheme === "local") capture.addLocal(ref);
  else if (pin === undefined) return;
  else if (scheme === "git") captureGit(capture, source, pin);
  else if (!isDigest(pin)) return;
  else if (scheme === "http" || scheme === "https") capture.addHttp({ url: source.identifier, digest: pin });
  else {
    const reference = formatImageSpec(parseImageSpec(ref));
    const local = scheme.startsWith("oci-layout");
    if (scheme.endsWith("+blob")) capture.addBlob({ reference, digest: pin, local });
    else capture.addImage({ reference, platform, digest: pin, local });
  }
}

function captureGit(capture: Capture, source: SourceOp, commit: string): void {
  const id = parseGitIdentifier(source);
  const bundle = id.bundle === undefined ? {} : { bundle: id.bundle.locator };
  capture.addGit({ url: id.ref === "" ? id.remote : `${id.remote}#${id.ref}`, commit, ...bundle });
  for (const secret of [id.authTokenSecret, id.authHeaderSecret]) {
    if (secret !== "") capture.addSecret({ id: secret, optional: true });
  }
  if (id.sshId !== "") capture.addSsh({ id: id.sshId, optional: true });
}

function captureExec(capture: Capture, exec: ExecOp): void {
  for (const { mountType, secretOpt, SSHOpt } of exec.mounts) {
    if (mountType === MountType.SECRET) capture.addSecret({ id: secretOpt?.ID ?? "", optional: !!secretOpt?.optional });
    if (mountType === MountType.SSH) capture.addSsh({ id: SSHOpt?.ID ?? "", optional: !!SSHOpt?.optional });
  }
  for (const { ID, optional } of exec.secretenv) capture.addSecret({ id: ID, optional });
  if (exec.network !== NetMode.NONE) capture.networkAccess = true;
}
