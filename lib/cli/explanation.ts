/**
 * Which networks a pod gets on this node, by which rule, and what each plugin
 * would be given: the very decision of ADD, made for nobody. It changes nothing.
 */
import { choose } from "../attach/add.ts";
import { type Context, readNetworks, runtimeConf } from "../attach/context.ts";
import {
  type Dependencies,
  systemDependencies,
} from "../attach/dependencies.ts";
import { Deadline } from "../linux/deadline.ts";
import { findPlugin } from "../cni/invoke.ts";
import { own, parseJson } from "../cni/json.ts";
import { request } from "../cni/network.ts";
import { annotationsCapability } from "../select/config.ts";
import type { Networks } from "../select/resolve.ts";
import {
  type Attachment,
  cniAnnotation,
  defaultNetworkAnnotation,
  displayName,
  networksAnnotation,
} from "../select/select.ts";
import type { Directories } from "./directories.ts";
import { nodeOperation } from "./node.ts";
import type { PodView } from "./pod-source.ts";
import type { Env } from "./terminal.ts";

export interface Explanation {
  /** `kind` of a workload whose template the pod is made of. */
  pod: { kind?: string; namespace: string; name: string };
  /** The pod has the node's network: no plugin is called. */
  hostNetwork?: true;
  /** Which of the rules of the annotations applies, in words. */
  rules: string[];
  attachments: ExplainedAttachment[];
}

export interface ExplainedAttachment {
  ifname: string;
  primary: boolean;
  /** As it was typed, or the file key. */
  network: string;
  /** The `name` of its configuration. */
  cniName: string;
  /** The file or the definition that it comes from. */
  source: string;
  /** CNI_ARGS */
  args: string;
  plugins: { type: string; path: string; config: unknown }[];
}

/** What only the runtime knows. */
const containerId = "<container ID>";
const netns = "<network namespace>";
const ifname = "eth0";

/** Throws what the pod's ADD would fail with. */
export async function explainPod(
  pod: PodView,
  directories: Directories,
  env: Env,
): Promise<Explanation> {
  const { kind, namespace, name } = pod;
  const shown = { ...(kind !== "Pod" && { kind }), namespace, name };
  if (pod.hostNetwork)
    return { pod: shown, hostNetwork: true, rules: [], attachments: [] };
  const context = operationFor(pod, directories, env);
  const { config, dependencies } = context;
  const deadline = new Deadline(config.apiTimeoutMs);
  const networks = readNetworks(context);
  const attachments = await choose(
    context,
    pod.annotations,
    () => dependencies.kube(config, deadline),
    deadline,
    networks,
  );
  return {
    pod: shown,
    rules: rulesOf(pod, context),
    attachments: attachments.map((attachment) =>
      explained(attachment, context, networks),
    ),
  };
}

function operationFor(
  pod: PodView,
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
    // The kubelet allots a device to a pod that runs; this one may not.
    devices: () => Promise.resolve((resource) => `<device of ${resource}>`),
  };
  const made = { command: "ADD", containerId, netns, ifname, args } as const;
  const begin = (runtimeConfig: Record<string, unknown>) =>
    nodeOperation(directories, env, {
      dependencies,
      request: { ...made },
      config: { runtimeConfig },
    });
  const { capabilities } = begin({}).request.config;
  const offered = {
    [annotationsCapability]: pod.annotations,
    ...(pod.portMappings.length > 0 && { portMappings: pod.portMappings }),
    ...(pod.bandwidth && { bandwidth: pod.bandwidth }),
  };
  // A runtime hands over what our own configuration declares.
  return begin(
    Object.fromEntries(
      Object.entries(offered).filter(
        ([key]) => own(capabilities, key) === true,
      ),
    ),
  );
}

/** selection.md §2, for this pod. */
function rulesOf(
  { annotations, misplaced, kind }: PodView,
  { config }: Context,
): string[] {
  const text = (key: string): string => {
    const value = own(annotations, key);
    return typeof value === "string" ? value.trim() : "";
  };
  const rules: string[] = [];
  const present = Object.hasOwn(annotations, cniAnnotation);
  if (text(cniAnnotation) !== "")
    rules.push(`annotation "cni" names them: ${text(cniAnnotation)}`);
  else if (text(defaultNetworkAnnotation) !== "")
    rules.push(
      `annotation "${defaultNetworkAnnotation}" takes the place of the default network: ${text(defaultNetworkAnnotation)}`,
    );
  else {
    const why = present ? `annotation "cni" is blank` : `no annotation "cni"`;
    const which =
      config.defaultPlugin.trim() === ""
        ? `the first file of ${config.confDir}`
        : `default_plugin is ${config.defaultPlugin}`;
    rules.push(`${why}, so the default network: ${which}`);
  }
  if (text(networksAnnotation) !== "")
    rules.push(`annotation "${networksAnnotation}" adds its networks`);
  for (const key of misplaced)
    rules.push(
      `annotation "${key}" of the ${kind} itself means nothing: pods get the annotations of its template`,
    );
  return rules;
}

function explained(
  attachment: Attachment,
  context: Context,
  networks: Networks,
): ExplainedAttachment {
  const { list, definition, args } = attachment;
  const runtime = runtimeConf(context, attachment);
  return {
    ifname: attachment.ifname,
    primary: attachment.ifname === ifname,
    network: displayName(attachment),
    cniName: list.name,
    source: definition
      ? `network-attachment-definition ${definition}`
      : fileOf(attachment, networks),
    args,
    plugins: list.plugins.map((plugin) => ({
      type: plugin.type,
      path: findPlugin(plugin.type, context.path),
      config: parseJson(request(list, plugin, { runtime })),
    })),
  };
}

/** The directory was read twice: the same file gives an equal list. */
function fileOf({ list }: Attachment, networks: Networks): string {
  const found = networks.candidates.find((candidate) =>
    Bun.deepEquals(candidate.list, list),
  );
  return found ? `${networks.confDir}/${found.file}` : networks.confDir;
}
