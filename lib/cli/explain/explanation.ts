/**
 * The networks of a pod on this node, the rule that selects each, and the
 * configuration of each plugin: ADD's choice without its execution. Changes
 * nothing.
 */
import { choose } from "../../attach/choice/choose.ts";
import { type Context, openOnce, readNetworks } from "../../attach/context.ts";
import { runtimeConf } from "../../attach/delegates.ts";
import {
  type Dependencies,
  systemDependencies,
} from "../../attach/dependencies.ts";
import { findPlugin } from "../../cni/invoke.ts";
import { own, parseJson } from "../../cni/json.ts";
import { pluginConfig } from "../../cni/network.ts";
import { Deadline } from "../../linux/deadline.ts";
import { messageOf } from "../../linux/errno.ts";
import { quote } from "../../linux/text.ts";
import {
  type Attachment,
  type Device,
  displayName,
} from "../../select/attachment.ts";
import { type ChoiceElement, ruleOf } from "../../select/choice.ts";
import { annotationsCapability } from "../../select/config.ts";
import type { Env } from "../../cni/environment.ts";
import type { Directories } from "../node/directories.ts";
import { nodeContext } from "../node/node-context.ts";
import { type PodView, type ShownPod, shownPod } from "../pods/pod-view.ts";
import {
  annotationFaults,
  type NamespaceSource,
  namespaceRules,
  schedulingRules,
} from "./rules.ts";

export interface Explanation {
  pod: ShownPod;
  /** The pod uses the node's network: no plugin is called. */
  hostNetwork?: true;
  /** The rule of each network, what the namespace gives, then the faults of annotations. */
  rules: string[];
  attachments: ExplainedAttachment[];
  /** Executed last, on the primary's interface (selection.md §11). */
  auxiliary?: ExplainedAttachment;
}

export interface ExplainedAttachment {
  ifname: string;
  primary: boolean;
  /** The name in the annotation, or the file key. */
  network: string;
  /** The `name` of its configuration. */
  cniName: string;
  /** The file or the definition of the network. */
  source: string;
  /** The value of CNI_ARGS. */
  args: string;
  device?: Omit<Device, "identity">;
  plugins: { type: string; path: string; config: unknown }[];
}

/** Values that only the runtime knows. */
const containerId = "<container ID>";
const netns = "<network namespace>";

/** `ifname`: the runtime's CNI_IFNAME. Throws the error with which the pod's ADD would fail. */
export async function explainPod(
  pod: PodView,
  ifname: string,
  directories: Directories,
  env: Env,
  namespaces: NamespaceSource,
): Promise<Explanation> {
  const shown = shownPod(pod);
  if (pod.hostNetwork)
    return { pod: shown, hostNetwork: true, rules: [], attachments: [] };
  const context = contextFor(pod, ifname, directories, env);
  const deadline = new Deadline(context.config.apiTimeoutMs);
  const { choice, attachments, auxiliary, releaseChoice } = await choose(
    context,
    pod,
    readNetworks(context),
    openOnce(context, deadline),
    deadline,
  );
  releaseChoice?.();
  return {
    pod: shown,
    rules: [
      ...choice.elements.map(ruleOf),
      ...auxiliaryRules(auxiliary),
      ...(await namespaceRules(pod, namespaces)),
      ...schedulingRules(pod),
      ...annotationFaults(pod),
    ],
    attachments: attachments.map((attachment, i) =>
      explained(attachment, sourceOf(choice.elements[i], context), context),
    ),
    ...(auxiliary && {
      auxiliary: explained(
        auxiliary,
        `${context.config.confDir}/${auxiliary.list.name}`,
        context,
      ),
    }),
  };
}

function contextFor(
  pod: PodView,
  ifname: string,
  directories: Directories,
  env: Env,
): Context {
  const args = [
    "IgnoreUnknown=1",
    `K8S_POD_NAMESPACE=${pod.namespace}`,
    `K8S_POD_NAME=${pod.name}`,
    `K8S_POD_INFRA_CONTAINER_ID=${containerId}`,
    `K8S_POD_UID=${pod.uid || "<pod UID>"}`,
  ].join(";");
  const real = systemDependencies(env);
  const dependencies: Dependencies = {
    ...real,
    // It keeps no TLS session for the next pod: nothing changes.
    async kube({ kube, apiTimeoutMs: apiTimeout }, deadline) {
      const { createKube } = await import("../../kube/client.ts");
      return createKube(kube, { deadline, apiTimeout, env });
    },
    devices: openIfAllotted(real.devices),
  };
  const offered = {
    [annotationsCapability]: pod.annotations,
    ...(pod.portMappings.length > 0 && { portMappings: pod.portMappings }),
    ...(pod.bandwidth && { bandwidth: pod.bandwidth }),
  };
  return nodeContext(directories, env, {
    dependencies,
    request: { command: "ADD", containerId, netns, ifname, args },
    // A runtime sends what our own configuration declares.
    runtimeConfig: (capabilities) =>
      Object.fromEntries(
        Object.entries(offered).filter(
          ([key]) => own(capabilities, key) === true,
        ),
      ),
  });
}

/** Milliseconds for the kubelet: the pod may not run here. */
const kubeletMs = 1000;

/** The devices of a pod of this node; stand-ins for a pod that the kubelet does not have. */
function openIfAllotted(
  open: Dependencies["devices"],
): Dependencies["devices"] {
  return async (pod, config, options) => {
    try {
      const deadline = options.deadline.atMost(kubeletMs);
      return await open(pod, config, { ...options, deadline });
    } catch (error) {
      const source = `no device yet: ${messageOf(error)}`;
      return ({ claim, resource = claim?.claimName ?? "" }) =>
        Promise.resolve({ id: `<device of ${resource}>`, resource, source });
    }
  };
}

function auxiliaryRules(auxiliary: Attachment | undefined): string[] {
  if (!auxiliary) return [];
  const { list, ifname: on } = auxiliary;
  return [`auxiliaryChain ${quote(list.name)} is executed last, on ${on}`];
}

function explained(
  attachment: Attachment,
  source: string,
  context: Context,
): ExplainedAttachment {
  const { list, args, device } = attachment;
  const runtime = runtimeConf(context, attachment);
  return {
    ifname: attachment.ifname,
    primary: attachment.ifname === context.request.ifname,
    network: displayName(attachment),
    cniName: list.name,
    source,
    args,
    ...(device && { device: shownDevice(device) }),
    plugins: list.plugins.map((plugin) => ({
      type: plugin.type,
      path: findPlugin(plugin.type, context.path),
      config: parseJson(pluginConfig(list, plugin, { runtime })),
    })),
  };
}

function shownDevice({
  identity: _identity,
  ...device
}: Device): Omit<Device, "identity"> {
  return device;
}

function sourceOf(
  element: ChoiceElement | undefined,
  { config }: Context,
): string {
  return element?.definition
    ? `network-attachment-definition ${element.definition.key}`
    : `${config.confDir}/${element?.node.candidate.file}`;
}
