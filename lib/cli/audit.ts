/**
 * `genie audit`: running pods of this node whose annotations ask for what the record does
 * not have (agent.md "Audit"). `--evict` lets their controllers make them anew.
 */
import type { V1Pod } from "@kubernetes/client-node";
import * as v from "valibot";
import {
  type Audit,
  type Finding,
  auditPods,
  findings,
} from "../agent/report/audit.ts";
import { own } from "../cni/json.ts";
import { map, object, parse } from "../cni/schema.ts";
import { type Api, apiProblem } from "../kube/typed-api.ts";
import { messageOf } from "../linux/errno.ts";
import { quote } from "../linux/text.ts";
import type { Command } from "./command/command.ts";
import type { Input } from "./command/input.ts";
import { optionsOf } from "./command/options.ts";
import {
  type Column,
  counted,
  outputOption,
  structured,
  structuredFormats,
  table,
} from "./command/output.ts";
import type { Terminal } from "./command/terminal.ts";
import type { Env } from "../cni/args.ts";
import { directoriesOf, nodeOptions } from "./node/directories.ts";
import { apiOptions, openNodeApi, requested } from "./node/node-api.ts";
import { contextOf } from "./node/node-context.ts";
import { apiNodeName, hostNodeName } from "./node/node-name.ts";
import { fromFile, objectsOf } from "./pods/objects-file.ts";
import { namespaceFilter, namespaceOptions } from "./pods/pod-operand.ts";

export const audit: Command = {
  about: `Finds running pods of this node whose annotations ask for what their attachment record does not have:
  past-genie       ${findings["past-genie"]}
  network-missing  ${findings["network-missing"]}
  other-namespace  ${findings["other-namespace"]}
Pods on the host's network are left out. Exit code 1 if something is found.

  genie audit
  genie audit --evict --yes
  kubectl get pods -A -o json --field-selector spec.nodeName=$NODE | genie audit -f -`,
  options: {
    ...namespaceOptions,
    output: outputOption("table", ...structuredFormats),
    ...optionsOf({
      "-f, --filename FILE":
        "read the pods from this list, - for stdin (default: the API server)",
      "--evict":
        "evict the pods that have a controller, as disruption budgets allow; needs --yes",
      "--yes": "evict without asking",
    }),
    ...apiOptions,
    ...nodeOptions,
  },
  async run(input, terminal) {
    const { env, stdout, stderr, progress } = terminal;
    input.need("yes", "evict");
    const { host } = directoriesOf(input);
    const context = contextOf(input, env);
    progress("reading the pods of this node");
    const node = apiNodeName(input, env, context.config);
    const isWanted = namespaceFilter(input);
    const onNode = await podsOf(input, env, node);
    const pods = onNode.filter(({ metadata }) => isWanted(metadata?.namespace));
    if (onNode.length === 0 && input.text("filename") === undefined) {
      progress();
      stderr(
        `genie audit: the API server has no pod of node ${quote(node)}: is --node its name?\n`,
      );
    }
    progress(`reading the records of ${counted(pods.length, "pod")}`);
    const found = await auditPods(pods, context, (path) => host.path(path));
    const isEvicting = input.flag("evict") && input.flag("yes");
    const rows: Row[] = isEvicting
      ? await evict(found.findings, input, terminal)
      : found.findings;
    progress();
    await stdout(
      structured(rows, input.text("output")) ??
        tableOf(rows, found, isEvicting),
    );
    if (input.flag("evict") && !isEvicting)
      stderr(`genie audit: ${advice(found.findings)}\n`);
    for (const problem of found.unreadable)
      stderr(`genie audit: ${problem}: pods without a record are not judged\n`);
    return found.findings.length + found.unreadable.length === 0 ? 0 : 1;
  },
};

/** A finding, with the outcome of the eviction if pods are evicted. */
type Row = Finding & Partial<Eviction>;

/** The parts of a pod that an audit reads; null is absent, as for the API server. */
const podSchema = object({
  metadata: object({
    name: v.string(),
    namespace: v.nullish(v.string()),
    uid: v.nullish(v.string()),
    deletionTimestamp: v.nullish(v.string()),
    annotations: v.nullish(map(v.string())),
    ownerReferences: v.nullish(
      v.array(
        object({
          kind: v.string(),
          name: v.string(),
          controller: v.nullish(v.boolean()),
        }),
      ),
    ),
  }),
  spec: v.nullish(
    object({
      nodeName: v.nullish(v.string()),
      hostNetwork: v.nullish(v.boolean()),
    }),
  ),
  status: v.nullish(object({ phase: v.nullish(v.string()) })),
});

async function podsOf(input: Input, env: Env, node: string): Promise<V1Pod[]> {
  const file = input.text("filename");
  if (file !== undefined) return listedPods(file, node);
  const { core } = await openNodeApi(input, env);
  const { items } = await requested(
    `list the pods of node ${quote(node)}`,
    core.listPodForAllNamespaces({ fieldSelector: `spec.nodeName=${node}` }),
  );
  return items;
}

/** Throws Error for a file that is no list of pods. An empty one is a command that failed in a pipe. */
function listedPods(file: string, node: string): Promise<V1Pod[]> {
  return fromFile(file, (text) => {
    // The items of a PodList have no kind.
    const pods = objectsOf(text).filter(
      (one) => (own(one, "kind") ?? "Pod") === "Pod",
    );
    if (pods.length === 0 && !/\bitems\b/.test(text))
      throw new Error("no pod and no list of pods is in it");
    return podsOfNode(
      pods.map((one) => podOf(one)),
      node,
    );
  });
}

/** A list may have the pods of every node. The host's name is a guess: if no pod has it, all count. */
function podsOfNode(pods: V1Pod[], node: string): V1Pod[] {
  const isKnown =
    node !== hostNodeName() || pods.some(({ spec }) => spec?.nodeName === node);
  return pods.filter(
    ({ spec }) => !isKnown || (spec?.nodeName ?? node) === node,
  );
}

function podOf(item: object): V1Pod {
  const withoutNull: unknown = JSON.parse(
    JSON.stringify(item),
    (_, value: unknown) => value ?? undefined,
  );
  const { metadata, ...pod } = parse(
    podSchema,
    withoutNull,
    (problem) => new Error(`not a pod: ${problem}`),
  );
  const read: unknown = {
    ...pod,
    metadata: { namespace: "default", ...metadata },
  };
  // oxlint-disable-next-line no-unsafe-type-assertion -- the keys that an audit reads are validated
  return read as V1Pod;
}

interface Eviction {
  evicted: boolean;
  /** Why it was not. */
  reason?: string;
}

/** One after the other: each eviction may use up the budget of the next. */
async function evict(
  found: readonly Finding[],
  input: Input,
  { env, progress }: Terminal,
): Promise<Row[]> {
  if (found.length === 0) return [];
  const api = await openNodeApi(input, env);
  const rows: Row[] = [];
  for (const one of found) {
    progress(`evicting ${one.namespace}/${one.name}`);
    rows.push({ ...one, ...(await evictOne(one, api)) });
  }
  return rows;
}

async function evictOne(
  { namespace, name, uid, controller }: Finding,
  { core }: Api,
): Promise<Eviction> {
  if (controller === undefined)
    return { evicted: false, reason: "it has no controller" };
  try {
    await core.createNamespacedPodEviction({
      namespace,
      name,
      body: {
        metadata: { namespace, name },
        deleteOptions: uid === "" ? {} : { preconditions: { uid } },
      },
    });
    return { evicted: true };
  } catch (error) {
    return { evicted: false, reason: refusalOf(error) };
  }
}

/** A disruption budget refuses with 429. */
function refusalOf(error: unknown): string {
  return /disruption budget/i.test(messageOf(error))
    ? "a disruption budget does not allow it now"
    : apiProblem(error);
}

function advice(found: readonly Finding[]): string {
  const count = found.filter(({ controller }) => controller).length;
  if (found.length === 0) return "nothing to evict";
  return count === 0
    ? "nothing is evicted: no pod has a controller"
    : `nothing is evicted without --yes: ${count} of ${counted(found.length, "pod")} ${found.length === 1 ? "has" : "have"} a controller`;
}

function tableOf(
  rows: readonly Row[],
  { pods }: Audit,
  isEvicting: boolean,
): string {
  if (rows.length === 0) return `${counted(pods, "pod")}, nothing found\n`;
  const evicted: Column<Row> = [
    "EVICTED",
    (row) => (row.evicted ? "yes" : `no: ${row.reason}`),
  ];
  return table<Row>(rows, [
    ["NAMESPACE", ({ namespace }) => namespace],
    ["POD", ({ name }) => name],
    ["FINDING", ({ finding }) => finding],
    ["NETWORKS", ({ networks }) => networks.join(", ") || "-"],
    ["CONTROLLER", ({ controller }) => controller ?? "-"],
    ...(isEvicting ? [evicted] : []),
  ]);
}
