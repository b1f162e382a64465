/**
 * ADDs of genie for a pod with a device: of a device plugin, and of a claim whose
 * driver writes a metadata file or does not (devices.md). The first row has no device.
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { devicePods, nodeName, resources } from "../cluster.ts";
import { startHelper } from "../helper.ts";
import type { Measured } from "../measured.ts";
import type { Unit } from "../step.ts";
import { pod } from "../../scripts/noop-node.ts";
import {
  type Plugin,
  type Surroundings,
  freshId,
  nameOf,
  pair,
  stepOf,
} from "./plugin.ts";

/** Loading gRPC takes time and memory: the bounds of genie's rows are not theirs. */
const program = "genie, devices";

const without = "ADD, one definition";
const plugged = "ADD, a device plugin's device";
const described = "ADD, a claim with a metadata file";
const listed = "ADD, a claim without one";

export function deviceUnitsOf(
  genie: Plugin,
  { node, api }: Surroundings,
  socket: string,
): Unit[] {
  const config = {
    kubernetes: { kubeconfig: api.kubeconfig(0) },
    podResourcesSocket: socket,
    nodeName,
  };
  const unit = (call: string, name: string, resourceName?: string): Unit => {
    const element = { name: "one", ...(resourceName && { resourceName }) };
    const stdin = node.withAnnotations(config, {
      "k8s.v1.cni.cncf.io/networks": JSON.stringify([element]),
    });
    const request = { stdin, pod: { ...pod, name }, delegates: 2 };
    return {
      steps: () =>
        pair({ containerId: freshId(), ...request }).map((one) =>
          stepOf({ ...genie, program }, node, one, nameOf(one, call)),
        ),
    };
  };
  return [
    unit(without, devicePods.plugged),
    unit(plugged, devicePods.plugged, resources.plugged),
    unit(described, devicePods.described, resources.claimed),
    unit(listed, devicePods.listed, resources.claimed),
  ];
}

/** Throws Error unless a device costs no API request, and one without a metadata file. */
export function deviceNote(measured: readonly Measured[]): string {
  const requests = (call: string): number =>
    measured.find((row) => row.program === program && row.call === call)
      ?.apiCalls ?? Number.NaN;
  const more = [plugged, described, listed].map(
    (call) => requests(call) - requests(without),
  );
  const text = `API requests for a device: plugin, claim with metadata, claim without: ${more.join(", ")}`;
  if (!Bun.deepEquals(more, [0, 0, 1])) throw new Error(`wrong ${text}`);
  return text;
}

/** The double, in a process of its own, with its files below the bench's directory. */
export async function startKubelet(
  directory: string,
): Promise<AsyncDisposable & { socket: string }> {
  const files = join(directory, "kubelet");
  mkdirSync(files);
  const helper = await startHelper("kubelet.ts", files);
  return {
    socket: String(helper.ready),
    [Symbol.asyncDispose]: () => helper[Symbol.asyncDispose](),
  };
}
