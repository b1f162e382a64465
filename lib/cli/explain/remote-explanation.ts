/**
 * `kubectl genie explain`: a pod's networks by the API server alone. Choice, interface names
 * and definitions are as on a node; a placeholder replaces each network of the node, whose
 * configuration is only there (docs/operations.md).
 */
import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { deviceRequestOf } from "../../attach/choice/allotted-devices.ts";
import { resourceOf } from "../../attach/choice/fetch-definitions.ts";
import { parseConfList } from "../../cni/conflist.ts";
import { own, parseJson } from "../../cni/json.ts";
import type { KubeOptions } from "../../kube/access/access.ts";
import { readKubeconfig } from "../../kube/access/kubeconfig.ts";
import { statusText } from "../../kube/api-error.ts";
import type { Api } from "../../kube/typed-api.ts";
import type { DeviceRequest } from "../../kubelet/allotment.ts";
import { quote } from "../../linux/text.ts";
import { type Annotations, cniAnnotation } from "../../select/attachment.ts";
import {
  type ChoiceElement,
  isChoice,
  parseChoice,
  ruleOf,
} from "../../select/choice.ts";
import type { DefinitionReference } from "../../select/definition-references.ts";
import { parseNetworks } from "../../select/cni-annotation.ts";
import { readConfig } from "../../select/config.ts";
import { networksOf } from "../../select/node-networks.ts";
import type { Env } from "../../cni/environment.ts";
import { type PodView, type ShownPod, shownPod } from "../pods/pod-view.ts";
import { definitionRequest } from "../../kube/client.ts";
import { annotationFaults } from "./rules.ts";

export interface RemoteExplanation {
  pod: ShownPod;
  hostNetwork?: true;
  /** The faults of annotations. */
  rules: string[];
  attachments: RemoteAttachment[];
}

export interface RemoteAttachment {
  ifname: string;
  primary: boolean;
  rule: string;
  /** A network of the node: its name, or absent for the default one. */
  network?: string;
  /** `<namespace>/<name>` */
  definition?: string;
  /** The request that the kubelet meets, or the device that the pod names. */
  device?: DeviceRequest | { id: string };
  /** The definition's `spec.config`. */
  config?: unknown;
  /** Why there is no configuration. */
  problem?: string;
}

const defaultFile = "default network of the node.conf";

/** Throws the error with which the pod's ADD would fail on any node. */
export async function explainRemotely(
  pod: PodView,
  ifname: string,
  api: () => Promise<Api>,
): Promise<RemoteExplanation> {
  const { namespace, annotations } = pod;
  const shown = shownPod(pod);
  if (pod.hostNetwork)
    return { pod: shown, hostNetwork: true, rules: [], attachments: [] };
  const { elements, primary } = parseChoice(annotations, {
    config: readConfig({ name: "genie", type: "genie" }),
    networks: placeholders(annotations),
    ifname,
    args: "",
    namespace,
  });
  const attachments = elements.map(async (element, i) => ({
    ifname: element.ifname,
    primary: i === primary,
    ...(await detailsOf(element, api)),
  }));
  return {
    pod: shown,
    rules: annotationFaults(pod),
    attachments: await Promise.all(attachments),
  };
}

/** A network for each name of the annotation, and before them the default one. */
function placeholders(annotations: Annotations) {
  const cni = own(annotations, cniAnnotation);
  const names = isChoice(cni)
    ? parseNetworks('annotation "cni"', cni).map(({ name }) => name)
    : [];
  const files = [
    ...new Set([defaultFile, ...names.map((name) => `${name}.conf`)]),
  ];
  const made = files.map((file) => ({
    file,
    // No plugin has these types, so no rule for single-use plugins applies.
    list: parseConfList({
      cniVersion: "1.0.0",
      name: `n${files.indexOf(file)}`,
      plugins: [{ type: `placeholder${files.indexOf(file)}` }],
    }),
  }));
  return networksOf("the node", made, ["genie"]);
}

async function detailsOf(
  { node, definition }: ChoiceElement,
  api: () => Promise<Api>,
): Promise<Omit<RemoteAttachment, "ifname" | "primary">> {
  if (definition) {
    const rule = ruleOf({ ifname: "", definition });
    return {
      rule,
      definition: definition.key,
      ...(await definitionOf(definition, api)),
    };
  }
  const { origin, name } = node;
  return name === undefined
    ? { rule: "the default network of its node" }
    : { rule: `${origin} ${quote(name)}`, network: name };
}

/** Throws 7 where element and definition name different resources. */
async function definitionOf(
  reference: DefinitionReference,
  api: () => Promise<Api>,
): Promise<Pick<RemoteAttachment, "device" | "config" | "problem">> {
  const { namespace, key, element } = reference;
  const { path } = definitionRequest(namespace, element.name);
  const server = await api();
  const response = await server.send(path, AbortSignal.timeout(10_000));
  if (!response.ok)
    return {
      problem: `failed to get definition ${key}: ${statusText(response.status)}`,
    };
  const definition = await response.json();
  const named =
    element.deviceId === undefined ? undefined : { id: element.deviceId };
  const device = deviceRequestOf(reference, resourceOf(definition)) ?? named;
  return {
    ...(device && { device }),
    ...specConfig(own(own(definition, "spec"), "config")),
  };
}

function specConfig(
  config: unknown,
): { config: unknown } | { problem: string } {
  if (typeof config !== "string" || config.trim() === "")
    return { problem: "it has no spec.config: the node has the configuration" };
  try {
    return { config: parseJson(config) };
  } catch {
    return { problem: "spec.config is not JSON" };
  }
}

/** The files that kubectl merges: those of `$KUBECONFIG` that exist, else `~/.kube/config`. */
export function operatorsKubeconfig(env: Env): Pick<
  KubeOptions,
  "kubeconfig" | "moreKubeconfigs"
> & {
  kubeconfig: string;
} {
  const named = (env["KUBECONFIG"] ?? "").split(":").filter(Boolean);
  const there = named.filter((path) => existsSync(path));
  const [kubeconfig = join(env["HOME"] || homedir(), ".kube/config"), ...more] =
    there.length > 0 ? there : named;
  return { kubeconfig, moreKubeconfigs: more };
}

/** The namespace of the current context, as kubectl takes it. Throws 7 naming a file that cannot be read. */
export function contextNamespace({
  kubeconfig,
  moreKubeconfigs,
}: ReturnType<typeof operatorsKubeconfig>): string {
  const { namespace } = readKubeconfig(kubeconfig, undefined, moreKubeconfigs);
  return namespace ?? "default";
}
