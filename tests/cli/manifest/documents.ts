/** The objects that `genie manifest` prints. */
import { expect } from "bun:test";
import { isObject, own } from "../../../lib/cni/json.ts";
import { type } from "../fixtures.ts";

/** The objects for these words. */
export async function documents(...words: string[]): Promise<unknown[]> {
  const { exitCode, stdout, stderr } = await type(["manifest", ...words]);
  expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
  // Anchors and aliases are YAML, but nothing that people want to read.
  expect(stdout).not.toMatch(/^\s*[&*]\w+$/m);
  return [Bun.YAML.parse(stdout)].flat();
}

export const kinds = (objects: unknown[]) =>
  objects.map((object) => own(object, "kind"));

export function theOnly(
  objects: unknown[],
  kind: string,
): Record<string, unknown> {
  const found = objects.find((one) => own(one, "kind") === kind);
  if (!isObject(found)) throw new Error(`no ${kind}`);
  return found;
}

export const podSpec = (objects: unknown[]) =>
  own(own(own(theOnly(objects, "DaemonSet"), "spec"), "template"), "spec") as {
    serviceAccountName?: string;
    automountServiceAccountToken: boolean;
    hostNetwork: boolean;
    containers: Container[];
    volumes: { name: string; hostPath?: { path: string; type?: string } }[];
  };

type Probe = { exec: { command: string[] }; httpGet?: object };

interface Container {
  startupProbe: Probe;
  readinessProbe: Probe;
  livenessProbe: Probe;
  name: string;
  image: string;
  args: string[];
  ports?: object[];
  securityContext: Record<string, unknown>;
  volumeMounts: {
    name: string;
    mountPath: string;
    readOnly?: boolean;
    mountPropagation?: string;
  }[];
}

export const image = "--image=registry.test/genie:1";

export const watchDefinitions = {
  apiGroups: ["k8s.cni.cncf.io"],
  resources: ["network-attachment-definitions"],
  verbs: ["list", "watch"],
};
