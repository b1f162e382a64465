/**
 * `genie explain [POD]`.
 */
import type { Api } from "../kube/typed-api.ts";
import { messageOf } from "../linux/errno.ts";
import type { Annotations, Device } from "../select/attachment.ts";
import { type Command, type Input, UsageError } from "./command.ts";
import {
  type ExplainedAttachment,
  type Explanation,
  explainPod,
} from "./explanation.ts";
import { directoryOptions, directoriesOf, nodeContext } from "./node.ts";
import { apiNodeName, apiOptions } from "./node-api.ts";
import { structured, structuredFormats, wantedNamespace } from "./output.ts";
import {
  contextNamespace,
  explainRemotely,
  operatorsKubeconfig,
  remoteText,
} from "./remote-explanation.ts";
import {
  type PodOperand,
  parsePodOperand,
  type PodView,
  namespacesOfText,
  podOfApi,
  podsOfText,
} from "./pod-source.ts";
import { type Env, contentOf } from "./terminal.ts";

export const explain: Command = {
  operand: { name: "POD", optional: true },
  about: `Shows which networks the pod gets, by which rule, and the configuration that each plugin would get.
Changes nothing. A pod that could not be created fails here with the same message.

  genie explain web -n shop          a pod of the API server; also shop/web and pod/web
  genie explain -A                   every pod of this node; kubectl genie: of the cluster
  genie explain -f deployment.yaml   every pod and workload of a file, - for stdin
  kubectl get deploy web -o yaml | genie explain -f -`,
  options: {
    namespace: {
      value: "NS",
      short: "n",
      about: 'namespace of the pod (default the file\'s, else "default")',
    },
    "all-namespaces": {
      short: "A",
      about: "every pod of this node (kubectl genie: of the cluster)",
    },
    filename: {
      value: "FILE",
      short: "f",
      path: "file",
      about:
        "read pods and workloads from this file, - for stdin (default: the API server)",
    },
    output: {
      value: "FORMAT",
      short: "o",
      choices: ["text", ...structuredFormats],
      about:
        "text, json or yaml (default text); json and yaml are a list for several pods",
    },
    kubeconfig: {
      value: "FILE",
      path: "file",
      about:
        "credential for the API server (default that of genie's configuration; kubectl genie: $KUBECONFIG, else ~/.kube/config)",
    },
    node: apiOptions.node,
    ...directoryOptions,
  },
  async run(input, { env, stdout, stderr, isKubectl = false }) {
    const directories = directoriesOf(input);
    const open = opener(input, env, isKubectl);
    const { pods, namespaces } = await podsOf(input, env, isKubectl, open);
    const explained: { value: object; text: string }[] = [];
    let failed = 0;
    for (const pod of pods) {
      try {
        if (isKubectl) {
          const value = await explainRemotely(pod, open);
          explained.push({ value, text: remoteText(value) });
        } else {
          const value = await explainPod(pod, directories, env, namespaces);
          explained.push({ value, text: textOf(value) });
        }
      } catch (error) {
        if (pods.length === 1) throw error;
        failed++;
        stderr(`genie explain: ${nameOf(pod)}: ${messageOf(error)}\n`);
      }
    }
    const values = explained.map(({ value }) => value);
    await stdout(
      structured(
        pods.length === 1 && !input.flag("all-namespaces") ? values[0] : values,
        input.text("output"),
      ) ?? explained.map(({ text }) => text).join("\n"),
    );
    return failed === 0 ? 0 : 1;
  },
};

function kubeconfigOf(
  input: Input,
  env: Env,
  isKubectl: boolean,
): string | undefined {
  const byKubectl = isKubectl ? operatorsKubeconfig(env) : undefined;
  return input.path("kubeconfig") ?? byKubectl;
}

/** The API server, opened once. */
function opener(
  input: Input,
  env: Env,
  isKubectl: boolean,
): () => Promise<Api> {
  let opened: Promise<Api> | undefined;
  const open = async (): Promise<Api> => {
    const { openApi } = await import("../kube/typed-api.ts");
    const kubeconfig = kubeconfigOf(input, env, isKubectl);
    if (kubeconfig !== undefined) return openApi({ kubeconfig }, env);
    const request = { command: "ADD" } as const;
    const { config } = nodeContext(directoriesOf(input), env, { request });
    return openApi(config.kube, env);
  };
  return () => (opened ??= open());
}

async function podsOf(
  input: Input,
  env: Env,
  isKubectl: boolean,
  open: () => Promise<Api>,
): Promise<{ pods: PodView[]; namespaces: Map<string, Annotations> }> {
  const file = input.text("filename");
  const namespace = input.text("namespace");
  const { operand } = input;
  const reference =
    operand === undefined ? undefined : parsePodOperand(operand, namespace);
  if (input.flag("all-namespaces")) {
    if (reference ?? file ?? wantedNamespace(input))
      throw new UsageError("--all-namespaces takes no POD and no --filename");
    const node = isKubectl ? undefined : nodeOf(input, env);
    return { pods: await listedPods(node, open), namespaces: new Map() };
  }
  if (file === undefined) {
    if (!reference)
      throw new UsageError("POD is missing: name one, or a file with -f");
    const kubeconfig = kubeconfigOf(input, env, isKubectl);
    const byDefault =
      isKubectl && kubeconfig !== undefined
        ? contextNamespace(kubeconfig)
        : "default";
    const pod = await askedPod({ namespace: byDefault, ...reference }, open);
    return { pods: [pod], namespaces: new Map() };
  }
  const shown = file === "-" ? "stdin" : file;
  try {
    const text = contentOf(file);
    const wanted = { ...(namespace !== undefined && { namespace }) };
    return {
      pods: podsOfText(text, { ...wanted, ...reference }),
      namespaces: namespacesOfText(text),
    };
  } catch (cause) {
    throw new Error(`${shown}: ${messageOf(cause)}`, { cause });
  }
}

function nodeOf(input: Input, env: Env): string {
  const { config } = nodeContext(directoriesOf(input), env);
  return apiNodeName(input, env, config);
}

/** Those of one node, or all. */
async function listedPods(
  node: string | undefined,
  open: () => Promise<Api>,
): Promise<PodView[]> {
  const { core } = await open();
  const { apiProblem } = await import("../kube/typed-api.ts");
  const selector =
    node === undefined ? {} : { fieldSelector: `spec.nodeName=${node}` };
  try {
    const { items } = await core.listPodForAllNamespaces(selector);
    return items.map(podOfApi);
  } catch (cause) {
    throw new Error(`failed to list pods: ${apiProblem(cause)}`, { cause });
  }
}

async function askedPod(
  { kind = "Pod", namespace, name }: PodOperand & { namespace: string },
  open: () => Promise<Api>,
): Promise<PodView> {
  const shown = JSON.stringify(`${namespace}/${name}`);
  if (kind !== "Pod")
    throw new UsageError(
      `genie may read pods only: kubectl get ${kind.toLowerCase()} ${name} -n ${namespace} -o yaml | genie explain -f -`,
    );
  const { core } = await open();
  const { apiProblem } = await import("../kube/typed-api.ts");
  try {
    return podOfApi(await core.readNamespacedPod({ namespace, name }));
  } catch (cause) {
    throw new Error(`failed to get pod ${shown}: ${apiProblem(cause)}`, {
      cause,
    });
  }
}

/** `deployment shop/web`; a pod without its kind. */
function nameOf({ kind, namespace, name }: Explanation["pod"]): string {
  const path = `${namespace}/${name}`;
  return kind === undefined || kind === "Pod"
    ? path
    : `${kind.toLowerCase()} ${path}`;
}

function textOf(explanation: Explanation): string {
  const { pod, rules, attachments, auxiliary, hostNetwork } = explanation;
  const who = `${pod.kind === undefined ? "" : "a pod of "}${nameOf(pod)}`;
  if (hostNetwork)
    return `${who} uses the node's own network: the runtime calls no CNI plugin for it\n`;
  const count =
    attachments.length === 1 ? "1 network" : `${attachments.length} networks`;
  const lines = [`${who} gets ${count} on this node:`];
  lines.push(...rules.map((rule) => `  ${rule}`));
  for (const attachment of attachments)
    lines.push(
      ...linesOf(attachment, attachment.primary ? " (primary)" : "", ""),
    );
  if (auxiliary)
    lines.push(
      ...linesOf(auxiliary, " (auxiliary chain)", "the primary's result"),
    );
  return `${lines.join("\n")}\n`;
}

/** `before` is the prevResult of the first plugin. */
function linesOf(
  attachment: ExplainedAttachment,
  role: string,
  before: string,
): string[] {
  const { ifname, source, args, device, plugins } = attachment;
  return [
    "",
    `${ifname}${role}: ${namesOf(attachment)}, from ${source}`,
    `  CNI_ARGS ${args}`,
    ...(device ? [`  device ${deviceText(device)}`] : []),
    ...plugins.flatMap(({ type, path, config }, i) => {
      const result = i === 0 ? before : "the result before it";
      const after = result === "" ? "" : `, with ${result} as prevResult`;
      return [
        `  ${type} (${path}) is given${after}:`,
        indented(JSON.stringify(config, null, 2)),
      ];
    }),
  ];
}

/** With the CNI name if it differs: configurations and network-status have that one. */
function namesOf({ network, cniName }: ExplainedAttachment): string {
  return network === cniName ? network : `${network} (CNI name ${cniName})`;
}

function deviceText({ id, resource, source }: Device): string {
  const of = resource === undefined ? "" : ` of ${resource}`;
  return `${id}${of} (${source ?? "named by the pod"})`;
}

function indented(text: string): string {
  return text.replace(/^/gm, "    ");
}
