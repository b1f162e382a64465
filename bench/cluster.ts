/**
 * The pods and definitions that the API server of the bench knows, and nothing
 * else: the server and the bench are two processes and must agree.
 */
import { pod } from "../scripts/noop-node.ts";

/** The node of all pods. */
export const nodeName = "bench";

/** Network attachment definitions, each of one delegate. */
export const definitions = ["one", "two", "three"];

export function definitionOf(name: string) {
  const config = { cniVersion: "1.0.0", name, type: "noop" };
  return {
    metadata: { name, namespace: pod.namespace },
    spec: { config: JSON.stringify(config) },
  };
}

/** A pod of one network. */
export const plain = { pod, annotations: { cni: "noop" } };

/**
 * The same for the peers: Multus writes a network status also to a pod of one network, and
 * genie would replace it.
 */
export const peers = {
  pod: {
    ...pod,
    name: "peers",
    uid: "c0ffee00-0000-4000-8000-000000000003",
  },
  annotations: plain.annotations,
};

/** A pod of the default network and all definitions. */
export const wide = {
  pod: {
    ...pod,
    name: "wide",
    uid: "c0ffee00-0000-4000-8000-000000000002",
  },
  annotations: { "k8s.v1.cni.cncf.io/networks": definitions.join(",") },
};

/** Pods with a device, by how the node knows it; a claim has the name of its pod. */
export const devicePods = {
  plugged: "plugged",
  described: "described",
  listed: "listed",
};

export const resources = {
  plugged: "bench.test/vf",
  claimed: "bench.test/nic",
};

/** A DRA driver. */
export const driver = "nic.bench.test";

/** The attributes of one of its devices. */
export function attributesOf(device: string) {
  return {
    "k8s.cni.cncf.io/resourceName": { string: resources.claimed },
    "k8s.cni.cncf.io/deviceID": { string: device },
  };
}

/** The slices that the driver publishes for the node. */
export const slice = {
  metadata: { name: "nic" },
  spec: {
    nodeName,
    driver,
    pool: { name: nodeName, generation: 1, resourceSliceCount: 1 },
    devices: ["nic-0", "nic-1"].map((name) => ({
      name,
      attributes: attributesOf(name),
    })),
  },
};
