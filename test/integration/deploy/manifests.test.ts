import assert from "node:assert/strict";
import { execFile, execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { parseDurationMs } from "../../../src/config/quantities.ts";
import { FleetMetrics } from "../../../src/coordinator/metrics/fleet-metrics.ts";

const deploy = fileURLToPath(new URL("../../../deploy/", import.meta.url));
const main = fileURLToPath(new URL("../../../src/cli/main.ts", import.meta.url));

// biome-ignore lint/suspicious/noExplicitAny: documents of other people's schemas
type Document = any;

const toJson = "import json, sys, yaml; print(json.dumps(list(yaml.safe_load_all(sys.stdin))))";

function documents(path: string): Document[] {
  return JSON.parse(execFileSync("python3", ["-c", toJson], { input: readFileSync(join(deploy, path)) }).toString());
}

const runs = (command: string, ...args: readonly string[]) =>
  promisify(execFile)(command, args).then(
    () => true,
    () => false,
  );
const noYaml = (await runs("python3", "-c", "import yaml")) ? false : "no python3-yaml";
const noKubectl = (await runs("kubectl", "version", "--client")) ? false : "no kubectl";
const noTerraform = (await runs("terraform", "version")) ? false : "no terraform";
const noSystemd = (await runs("systemd-analyze", "--version")) ? false : "no systemd-analyze";

/** Command lines of ours somewhere in a document: every flag must be one of the command. */
async function checkFlags(command: string, text: string): Promise<void> {
  const { stdout } = await promisify(execFile)(process.execPath, [main, command, "--help"]);
  const flags = text.match(/--[a-z][a-z-]+/g) ?? [];
  assert.ok(flags.length > 0, `${command} has no flags`);
  for (const flag of flags) assert.match(stdout, new RegExp(`${flag}\\b`), `${command} has no flag ${flag}`);
}

const drainTimeout = (text: string) => parseDurationMs(/--drain-timeout[= ](\w+)/.exec(text)?.[1] ?? "") ?? Number.NaN;

describe("deploy/kubernetes", { skip: noYaml }, () => {
  const all = () => [...documents("kubernetes/fleet.yaml"), ...documents("kubernetes/scaling.yaml")];
  const workloads = () => all().filter(({ kind }) => kind === "Deployment" || kind === "StatefulSet");
  const named = (name: string) => all().find(({ metadata, kind }) => metadata.name === name && kind === "Deployment");

  it("has objects with a name, in the namespace, that select their own pods", () => {
    for (const { apiVersion, kind, metadata } of all()) {
      assert.ok(apiVersion && kind && metadata.name);
      if (kind !== "Namespace") assert.equal(metadata.namespace, "buildfleet");
    }
    for (const { spec } of workloads()) assert.deepEqual(spec.selector.matchLabels, spec.template.metadata.labels);
    for (const { spec } of all().filter(({ kind }) => kind === "Service")) {
      const pods = workloads().filter((workload) => workload.spec.template.metadata.labels.app === spec.selector.app);
      const ports = pods[0].spec.template.spec.containers[0].ports.map((port: Document) => port.containerPort);
      for (const { port, targetPort = port } of spec.ports) assert.ok(ports.includes(targetPort));
    }
    for (const { spec } of workloads()) {
      const { containers, volumes = [] } = spec.template.spec;
      const available = [...volumes, ...(spec.volumeClaimTemplates ?? []).map(({ metadata }: Document) => metadata)];
      for (const mount of containers[0].volumeMounts) assert.ok(available.some(({ name }) => name === mount.name));
    }
  });

  it("starts our commands with flags they have", async () => {
    for (const command of ["coordinator", "agent"]) {
      const [container] = named(`buildfleet-${command}`).spec.template.spec.containers;
      assert.deepEqual(container.command, ["buildfleet", command]);
      await checkFlags(command, container.args.join(" "));
    }
  });

  it("gives agents longer to end than they take", () => {
    const { terminationGracePeriodSeconds, containers } = named("buildfleet-agent").spec.template.spec;
    assert.ok(terminationGracePeriodSeconds * 1000 > drainTimeout(containers[0].args.join(" ")));
  });

  it("scales agents by figures that coordinators serve", async () => {
    const [scaled] = documents("kubernetes/scaling.yaml");
    assert.ok(named(scaled.spec.scaleTargetRef.name));
    const { registry } = new FleetMetrics({ agents: () => [], queue: () => [], buildsRunning: () => 0 });
    const served = registry.getMetricsAsArray().map(({ name }) => name);
    for (const { metadata } of scaled.spec.triggers) {
      for (const name of metadata.query.match(/buildfleet_\w+/g)) assert.ok(served.includes(name), name);
      assert.ok(Number(metadata.threshold) > 0);
    }
    assert.ok(scaled.spec.minReplicaCount >= 1);
  });

  it("scales the same without KEDA", () => {
    const [scaled] = documents("kubernetes/scaling.yaml");
    const [hpa] = documents("kubernetes/scaling-hpa.yaml");
    assert.deepEqual([hpa.apiVersion, hpa.kind], ["autoscaling/v2", "HorizontalPodAutoscaler"]);
    const { scaleTargetRef, minReplicas, maxReplicas, metrics, behavior } = hpa.spec;
    const target = named(scaleTargetRef.name);
    assert.deepEqual(
      [scaleTargetRef.apiVersion, scaleTargetRef.kind, hpa.metadata.namespace],
      [target.apiVersion, target.kind, target.metadata.namespace],
    );
    assert.deepEqual([minReplicas, maxReplicas], [scaled.spec.minReplicaCount, scaled.spec.maxReplicaCount]);
    assert.deepEqual(behavior, scaled.spec.advanced.horizontalPodAutoscalerConfig.behavior);
    const [{ external }] = metrics;
    assert.deepEqual(external.target, { type: "AverageValue", averageValue: "1" });
    // The rule that its head gives makes the metric, of figures that coordinators serve.
    const head = readFileSync(join(deploy, "kubernetes/scaling-hpa.yaml"), "utf8").replaceAll(/^# ?/gm, "");
    assert.ok(head.includes(`name: { as: ${external.metric.name} }`));
    const query = /metricsQuery: (.*)/.exec(head)?.[1] ?? "";
    const names = (text: string) => text.match(/buildfleet_\w+/g);
    assert.deepEqual(names(query), names(scaled.spec.triggers[0].metadata.query));
  });

  it("has no file that is not looked at here", () => {
    const files = readdirSync(join(deploy, "kubernetes")).toSorted();
    assert.deepEqual(files, ["fleet.yaml", "kustomization.yaml", "scaling-hpa.yaml", "scaling.yaml"]);
  });

  it("is put together by kubectl", { skip: noKubectl }, async () => {
    const { stdout } = await promisify(execFile)("kubectl", ["kustomize", join(deploy, "kubernetes")]);
    assert.match(stdout, /image: registry\.example\.com\/buildfleet:latest/);
  });

  it("is what the kustomization names", () => {
    const [{ resources, images }] = documents("kubernetes/kustomization.yaml");
    assert.deepEqual(resources, ["fleet.yaml", "scaling.yaml"]);
    assert.equal(images[0].name, named("buildfleet-agent").spec.template.spec.containers[0].image);
  });
});

describe("deploy/compose", { skip: noYaml }, () => {
  const [compose] = noYaml ? [] : documents("compose/compose.yaml");

  it("starts our commands with flags they have, and declares its volumes", async () => {
    for (const command of ["coordinator", "agent"]) {
      const [line] = compose.services[command].command;
      assert.ok(line.startsWith(`exec buildfleet ${command} `));
      await checkFlags(command, line);
    }
    for (const { volumes, depends_on = [] } of Object.values<Document>(compose.services)) {
      for (const volume of volumes) if (!volume.startsWith("/")) assert.ok(volume.split(":")[0] in compose.volumes);
      for (const name of depends_on) assert.ok(name in compose.services);
    }
  });

  it("gives agents longer to end than they take", () => {
    const { command, stop_grace_period } = compose.services.agent;
    assert.ok((parseDurationMs(stop_grace_period) ?? 0) > drainTimeout(command[0]));
  });
});

describe("deploy/systemd", () => {
  const directory = join(deploy, "systemd");

  it("starts our commands with flags they have", async () => {
    for (const command of ["coordinator", "agent", "standalone"]) {
      const file = readdirSync(directory).find(
        (name) => name.startsWith(`buildfleet-${command}`) && name.endsWith("e"),
      );
      const text = readFileSync(join(directory, file ?? ""), "utf8");
      const line = /^ExecStart=\S+ (.*)$/m.exec(text)?.[1] ?? "";
      assert.ok(line.startsWith(`${command} `));
      await checkFlags(command, line);
    }
  });

  it("passes systemd-analyze", { skip: noSystemd }, async () => {
    const copy = mkdtempSync(join(tmpdir(), "buildfleet-units-"));
    try {
      // It looks for the programs, which are not installed here.
      mkdirSync(join(copy, "bin"));
      for (const name of ["buildfleet", "buildfleet-drain-on-notice"]) {
        writeFileSync(join(copy, "bin", name), "#!/bin/sh\n");
        chmodSync(join(copy, "bin", name), 0o755);
      }
      const units = readdirSync(directory).map((name) => {
        const text = readFileSync(join(directory, name), "utf8").replaceAll("/usr/local/bin/", `${copy}/bin/`);
        writeFileSync(join(copy, name), text);
        return join(copy, name);
      });
      const { stderr } = await promisify(execFile)("systemd-analyze", ["verify", "--man=no", ...units]);
      assert.ok(!stderr.includes("buildfleet"), stderr);
    } finally {
      rmSync(copy, { recursive: true });
    }
  });
});

describe("deploy/aws/terraform", () => {
  const directory = join(deploy, "aws/terraform");
  const module = readFileSync(join(directory, "main.tf"), "utf8");

  it("is Terraform's language, as terraform writes it", { skip: noTerraform }, async () => {
    await promisify(execFile)("terraform", [`-chdir=${directory}`, "fmt", "-check", "-diff"]);
  });

  it("starts agents with flags they have, and time to leave", async () => {
    const [, given = ""] = /templatefile\([^{]*\{path\.module\}[^{]*\{([^}]*)\}/.exec(module) ?? [];
    const names = [...given.matchAll(/^\s*(\w+)\s*=/gm)].map(([, name]) => name);
    const script = readFileSync(join(directory, "user-data.sh"), "utf8");
    assert.deepEqual(
      [...new Set([...script.matchAll(/\$\{(\w+)\}/g)].map(([, name]) => name))].toSorted(),
      names.toSorted(),
    );
    const rendered = script.replaceAll(/\$\{\w+\}/g, "1");
    execFileSync("sh", ["-n"], { input: rendered });
    await checkFlags("agent", /^BUILDFLEET_OPTS=.*$/m.exec(rendered)?.[0] ?? "");
    // The hook outlasts the drain.
    assert.match(module, /heartbeat_timeout\s+= local\.drain_seconds \+ 60/);
  });
});
