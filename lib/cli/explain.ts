/**
 * `genie explain [POD]`.
 */
import { messageOf } from "../linux/errno.ts";
import type { Annotations, Device } from "../select/attachment.ts";
import { type Command, type Input, UsageError } from "./command.ts";
import {
  type ExplainedAttachment,
  type Explanation,
  explainPod,
} from "./explanation.ts";
import {
  type Directories,
  directoryOptions,
  directoriesOf,
  nodeContext,
} from "./node.ts";
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
  genie explain -f deployment.yaml   every pod and workload of a file, - for stdin
  kubectl get deploy web -o yaml | genie explain -f -`,
  options: {
    namespace: {
      value: "NS",
      short: "n",
      about: 'namespace of the pod (default the file\'s, else "default")',
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
      choices: ["text", "json"],
      about: "text or json (default text); json is a list for several pods",
    },
    ...directoryOptions,
  },
  async run(input, { env, stdout, stderr }) {
    const directories = directoriesOf(input);
    const { pods, namespaces } = await podsOf(input, directories, env);
    const explanations: Explanation[] = [];
    let failed = 0;
    for (const pod of pods) {
      try {
        explanations.push(await explainPod(pod, directories, env, namespaces));
      } catch (error) {
        if (pods.length === 1) throw error;
        failed++;
        stderr(`genie explain: ${nameOf(pod)}: ${messageOf(error)}\n`);
      }
    }
    await stdout(
      input.text("output") === "json"
        ? jsonOf(explanations, pods.length)
        : explanations.map(textOf).join("\n"),
    );
    return failed === 0 ? 0 : 1;
  },
};

async function podsOf(
  input: Input,
  directories: Directories,
  env: Env,
): Promise<{ pods: PodView[]; namespaces: Map<string, Annotations> }> {
  const file = input.text("filename");
  const namespace = input.text("namespace");
  const { operand } = input;
  const reference =
    operand === undefined ? undefined : parsePodOperand(operand, namespace);
  if (file === undefined) {
    if (!reference)
      throw new UsageError("POD is missing: name one, or a file with -f");
    const pod = await askedPod(reference, directories, env);
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

async function askedPod(
  { kind = "Pod", namespace = "default", name }: PodOperand,
  directories: Directories,
  env: Env,
): Promise<PodView> {
  const shown = JSON.stringify(`${namespace}/${name}`);
  if (kind !== "Pod")
    throw new UsageError(
      `genie may read pods only: kubectl get ${kind.toLowerCase()} ${name} -n ${namespace} -o yaml | genie explain -f -`,
    );
  const { config } = nodeContext(directories, env, {
    request: { command: "ADD" },
  });
  const { apiProblem, openApi } = await import("../kube/typed-api.ts");
  const { core } = await openApi(config.kube, env);
  try {
    return podOfApi(await core.readNamespacedPod({ namespace, name }));
  } catch (cause) {
    throw new Error(`failed to get pod ${shown}: ${apiProblem(cause)}`, {
      cause,
    });
  }
}

function jsonOf(explanations: readonly Explanation[], pods: number): string {
  const value = pods === 1 ? explanations[0] : explanations;
  return `${JSON.stringify(value, null, 2)}\n`;
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
