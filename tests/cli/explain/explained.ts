/** The output of `genie explain`, and parts of it that several tests expect. */
import { expect } from "bun:test";
import type { ApiServer } from "../../support/api-server.ts";
import { NodeDirectory } from "../fixtures.ts";

/** CNI_ARGS that a pod would get. */
export const args = (pod: string, uid = "<pod UID>") => {
  const [namespace, name] = pod.split("/");
  return `IgnoreUnknown=1;K8S_POD_NAMESPACE=${namespace};K8S_POD_NAME=${name};K8S_POD_INFRA_CONTAINER_ID=<container ID>;K8S_POD_UID=${uid}`;
};

/** The output for these words, which change nothing of the node. */
export async function explained(
  node: NodeDirectory,
  words: string[],
): Promise<unknown> {
  const before = node.inodes();
  const { exitCode, stdout, stderr } = await node.type("explain", [
    "-o",
    "json",
    ...words,
  ]);
  expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
  expect(node.inodes()).toEqual(before);
  return JSON.parse(stdout.replaceAll(node.root, "")) as unknown;
}

/** The output for the objects of a file. */
export function explainedFile(
  node: NodeDirectory,
  objects: unknown,
  words: string[] = [],
): Promise<unknown> {
  const file = node.write("pods.json", JSON.stringify(objects));
  return explained(node, [...words, "-f", file]);
}

/** A node whose configuration has the server's kubeconfig. */
export const nodeOf = (server: ApiServer) =>
  NodeDirectory.installed(`--kubeconfig=${server.kubeconfig()}`);

export const bridge = {
  type: "bridge",
  path: "/opt/cni/bin/bridge",
  config: {
    type: "bridge",
    ipam: { type: "host-local", subnet: "10.1.0.0/16" },
    name: "canal-net",
    cniVersion: "1.0.0",
  },
};

export const portmap = (runtimeConfig?: object) => ({
  type: "portmap",
  path: "/opt/cni/bin/portmap",
  config: {
    type: "portmap",
    capabilities: { portMappings: true },
    name: "canal-net",
    cniVersion: "1.0.0",
    ...(runtimeConfig && { runtimeConfig }),
  },
});

export const ptp = {
  type: "ptp",
  path: "/opt/cni/bin/ptp",
  config: { cniVersion: "0.4.0", name: "weave-net", type: "ptp" },
};
