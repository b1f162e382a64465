/** `genie explain [POD]`: which networks a pod gets, and why. */
import { omitUndefined } from "../cni/json.ts";
import { type Api, openApi } from "../kube/typed-api.ts";
import { messageOf } from "../linux/errno.ts";
import { quote } from "../linux/text.ts";
import type { Annotations } from "../select/attachment.ts";
import type { Command } from "./command/command.ts";
import { type Input, UsageError } from "./command/input.ts";
import { optionsOf } from "./command/options.ts";
import {
  outputOption,
  structured,
  structuredFormats,
} from "./command/output.ts";
import { ifnameProblem } from "../cni/identifiers.ts";
import type { Env } from "../cni/environment.ts";
import {
  explanationText,
  nameOf,
  remoteText,
} from "./explain/explanation-text.ts";
import { explainPod } from "./explain/explanation.ts";
import {
  contextNamespace,
  explainRemotely,
  operatorsKubeconfig,
} from "./explain/remote-explanation.ts";
import { directoriesOf, directoryOptions } from "./node/directories.ts";
import { apiOptions, openNodeApi, requested } from "./node/node-api.ts";
import { contextOf } from "./node/node-context.ts";
import { apiNodeName } from "./node/node-name.ts";
import { fromFile } from "./pods/objects-file.ts";
import { listPods } from "./pods/pod-list.ts";
import { type PodOperand, parsePodOperand } from "./pods/pod-operand.ts";
import {
  type PodView,
  namespacesOfText,
  podOfApi,
  podsOfText,
} from "./pods/pod-view.ts";

export const explain: Command = {
  operand: { name: "POD", optional: true },
  about: `Shows which networks the pod gets, by which rule, and the configuration that each plugin would get.
Changes nothing. A pod that could not be created fails here with the same message. The formats json
and yaml give a list for several pods.

  genie explain web -n shop          a pod of the API server; also shop/web and pod/web
  genie explain -A                   every pod of this node; kubectl genie: of the cluster
  genie explain -f deployment.yaml   every pod and workload of a file, - for stdin
  kubectl get deploy web -o yaml | genie explain -f -`,
  options: {
    ...optionsOf({
      "-n, --namespace NS":
        'namespace of the pod (default the file\'s, else "default")',
      "-A, --all-namespaces":
        "every pod of this node (kubectl genie: of the cluster, or of --node)",
      "-f, --filename FILE":
        "read pods and workloads from this file, - for stdin (default: the API server)",
      "--ifname NAME":
        "the interface that the runtime asks for, CNI_IFNAME (default eth0)",
    }),
    output: outputOption("text", ...structuredFormats),
    ...optionsOf({
      "--kubeconfig FILE":
        "credential for the API server (default that of genie's configuration; kubectl genie: $KUBECONFIG, else ~/.kube/config)",
    }),
    node: apiOptions.node,
    ...directoryOptions,
  },
  async run(input, { env, stdout, stderr, isKubectl = false }) {
    const from = isKubectl ? byOperator(input, env) : onNode(input, env);
    const { pods, namespaces } = await podsOf(input, from);
    const explained: Explained[] = [];
    for (const pod of pods) {
      try {
        explained.push(await from.explain(pod, namespaces));
      } catch (error) {
        if (pods.length === 1) throw error;
        stderr(`genie explain: ${nameOf(pod)}: ${messageOf(error)}\n`);
      }
    }
    const values = explained.map(({ value }) => value);
    const isList = pods.length > 1 || input.flag("all-namespaces");
    await stdout(
      structured(isList ? values : values[0], input.text("output")) ??
        explained.map(({ text }) => text).join("\n"),
    );
    return explained.length === pods.length ? 0 : 1;
  },
};

interface Explained {
  value: object;
  text: string;
}

/** The node, or the machine of an operator who calls `kubectl genie`. */
interface PodSource {
  /** The API server, opened once. */
  open(): Promise<Api>;
  /** The namespace of a pod that is named without one. */
  namespace(): string;
  /** The node whose pods `-A` explains; undefined: every node. */
  node(): string | undefined;
  explain(
    pod: PodView,
    namespaces: Map<string, Annotations>,
  ): Promise<Explained>;
}

function onNode(input: Input, env: Env): PodSource {
  const directories = directoriesOf(input);
  const ifname = ifnameOf(input);
  const open = once(() => openNodeApi(input, env));
  return {
    open,
    namespace: () => "default",
    node: () => apiNodeName(input, env, contextOf(input, env).config),
    async explain(pod, known) {
      const value = await explainPod(pod, ifname, directories, env, {
        known,
        open,
      });
      return { value, text: explanationText(value) };
    },
  };
}

/** `kubectl genie`: the file and the namespace that kubectl uses. Throws UsageError. */
function byOperator(input: Input, env: Env): PodSource {
  for (const option of Object.keys(directoryOptions))
    if (input.text(option) !== undefined)
      throw new UsageError(
        `--${option} needs the node: run \`genie explain\` there as root`,
      );
  const ifname = ifnameOf(input);
  const named = input.path("kubeconfig");
  const access =
    named === undefined ? operatorsKubeconfig(env) : { kubeconfig: named };
  const open = once(() => openApi(access, env));
  return {
    open,
    namespace: () => contextNamespace(access),
    node: () => input.text("node"),
    async explain(pod) {
      const value = await explainRemotely(pod, ifname, open);
      return { value, text: remoteText(value) };
    },
  };
}

/** CNI_IFNAME. Throws UsageError for a name that no runtime may send. */
function ifnameOf(input: Input): string {
  const ifname = input.text("ifname") ?? "eth0";
  const problem = ifnameProblem(ifname);
  if (problem)
    throw new UsageError(`--ifname ${quote(ifname)}: ${problem.msg}`);
  return ifname;
}

function once<T>(open: () => Promise<T>): () => Promise<T> {
  let opened: Promise<T> | undefined;
  return () => (opened ??= open());
}

interface Pods {
  pods: PodView[];
  /** The namespaces that are in the file. */
  namespaces: Map<string, Annotations>;
}

async function podsOf(input: Input, from: PodSource): Promise<Pods> {
  const file = input.text("filename");
  const namespace = input.text("namespace");
  const { operand } = input;
  const reference =
    operand === undefined ? undefined : parsePodOperand(operand, namespace);
  input.exclude("namespace", "all-namespaces");
  if (input.flag("all-namespaces")) {
    if (reference ?? file)
      throw new UsageError("--all-namespaces takes no POD and no --filename");
    const pods = await listPods(await from.open(), from.node());
    return { pods: pods.map(podOfApi), namespaces: new Map() };
  }
  if (file !== undefined) {
    const wanted = omitUndefined<Partial<PodOperand>>({
      namespace,
      ...reference,
    });
    return fromFile(file, (text) => ({
      pods: podsOfText(text, wanted),
      namespaces: namespacesOfText(text),
    }));
  }
  if (!reference)
    throw new UsageError("POD is missing: name one, or a file with -f");
  const asked = { namespace: from.namespace(), ...reference };
  return { pods: [await askedPod(asked, from)], namespaces: new Map() };
}

async function askedPod(
  { kind = "Pod", namespace, name }: PodOperand & { namespace: string },
  from: PodSource,
): Promise<PodView> {
  if (kind !== "Pod")
    throw new UsageError(
      `genie may read pods only: kubectl get ${kind.toLowerCase()} ${name} -n ${namespace} -o yaml | genie explain -f -`,
    );
  const { core } = await from.open();
  const pod = core.readNamespacedPod({ namespace, name });
  return podOfApi(
    await requested(`get pod ${quote(`${namespace}/${name}`)}`, pod),
  );
}
