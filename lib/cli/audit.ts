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
import { type Command, type Input, UsageError } from "./command/command.ts";
import {
  apiNodeName,
  apiOptions,
  hostNodeName,
  openNodeApi,
} from "./node/node-api.ts";
import {
  directoriesOf,
  directoryOptions,
  hostOf,
  nodeContext,
  rootOption,
} from "./node/node.ts";
import {
  namespaceOptions,
  structured,
  structuredFormats,
  wantedNamespace,
} from "./command/output.ts";
import { objectsOf } from "./pods/pod-source.ts";
import {
  type Env,
  type Terminal,
  columns,
  contentOf,
} from "./command/terminal.ts";

export const audit: Command = {
  about: `Finds running pods of this node whose annotations ask for what their attachment record does not have:
  past-genie       ${findings["past-genie"]}
  network-missing  ${findings["network-missing"]}
  other-namespace  ${findings["other-namespace"]}
Pods of the node's network are left out. Exit code 1 if something is found.

  genie audit
  genie audit --evict --yes
  kubectl get pods -A -o json --field-selector spec.nodeName=$NODE | genie audit -f -`,
  options: {
    ...namespaceOptions,
    output: {
      value: "FORMAT",
      short: "o",
      choices: ["table", ...structuredFormats],
      about: "table, json or yaml (default table)",
    },
    filename: {
      value: "FILE",
      short: "f",
      path: "file",
      about:
        "read the pods from this list, - for stdin (default: the API server)",
    },
    evict: {
      about:
        "evict the pods that have a controller, as disruption budgets allow; needs --yes",
    },
    yes: { about: "evict without asking" },
    ...apiOptions,
    ...directoryOptions,
    ...rootOption,
  },
  async run(input, terminal) {
    const { env, stdout, stderr, progress } = terminal;
    if (input.flag("yes") && !input.flag("evict"))
      throw new UsageError("--yes needs --evict");
    const host = hostOf(input);
    const context = nodeContext(directoriesOf(input), env, { host });
    progress("reading the pods of this node");
    const node = apiNodeName(input, env, context.config);
    const namespace = wantedNamespace(input);
    const onNode = await podsOf(input, env, node);
    const pods = onNode.filter(
      ({ metadata }) =>
        namespace === undefined || metadata?.namespace === namespace,
    );
    if (onNode.length === 0 && input.text("filename") === undefined) {
      progress();
      stderr(
        `genie audit: the API server has no pod of node ${JSON.stringify(node)}: is --node its name?\n`,
      );
    }
    progress(`reading the records of ${pods.length} pods`);
    const found = await auditPods(pods, context, (path) => host.path(path));
    const evicted =
      input.flag("evict") && input.flag("yes")
        ? await evict(found.findings, input, terminal)
        : new Map<Finding, Eviction>();
    progress();
    const rows = found.findings.map((one) => ({ ...one, ...evicted.get(one) }));
    const format = input.text("output");
    await stdout(structured(rows, format) ?? tableOf(found, evicted));
    if (input.flag("evict") && !input.flag("yes"))
      stderr(`genie audit: ${advice(found.findings)}\n`);
    for (const problem of found.unreadable)
      stderr(`genie audit: ${problem}: pods without a record are not judged\n`);
    return found.findings.length + found.unreadable.length === 0 ? 0 : 1;
  },
};

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
  const api = await openNodeApi(input, env);
  try {
    const { items } = await api.core.listPodForAllNamespaces({
      fieldSelector: `spec.nodeName=${node}`,
    });
    return items;
  } catch (cause) {
    const problem = apiProblem(cause);
    throw new Error(
      `failed to list the pods of node ${JSON.stringify(node)}: ${problem}`,
      { cause },
    );
  }
}

/** Throws Error for a file that is no list of pods. An empty one is a command that failed in a pipe. */
function listedPods(file: string, node: string): V1Pod[] {
  try {
    const text = contentOf(file);
    const objects = objectsOf(text);
    // The items of a PodList have no kind.
    const pods = objects.filter((one) => (own(one, "kind") ?? "Pod") === "Pod");
    if (pods.length === 0 && !/\bitems\b/.test(text))
      throw new Error("no pod and no list of pods is in it");
    return podsOfNode(
      pods.map((one) => podOf(one)),
      node,
    );
  } catch (cause) {
    const shown = file === "-" ? "stdin" : file;
    throw new Error(`${shown}: ${messageOf(cause)}`, { cause });
  }
}

/** A list may have the pods of every node. The host's name is a guess: if no pod has it, all count. */
function podsOfNode(pods: V1Pod[], node: string): V1Pod[] {
  const isKnown =
    node !== hostNodeName() || pods.some(({ spec }) => spec?.nodeName === node);
  return pods.filter(
    ({ spec }) => !isKnown || (spec?.nodeName ?? node) === node,
  );
}

/** Throws Error. */
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
): Promise<ReadonlyMap<Finding, Eviction>> {
  const evictions = new Map<Finding, Eviction>();
  if (found.length === 0) return evictions;
  const api = await openNodeApi(input, env);
  for (const one of found) {
    progress(`evicting ${one.namespace}/${one.name}`);
    evictions.set(one, await evictOne(one, api));
  }
  return evictions;
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
    : `nothing is evicted without --yes: ${count} of ${found.length} pods have a controller`;
}

function tableOf(
  { findings: rows, pods }: Audit,
  evicted: ReadonlyMap<Finding, Eviction>,
): string {
  if (rows.length === 0) return `${pods} pods, nothing found\n`;
  const head = ["NAMESPACE", "POD", "FINDING", "NETWORKS", "CONTROLLER"];
  const isEvicting = evicted.size > 0;
  return columns([
    isEvicting ? [...head, "EVICTED"] : head,
    ...rows.map((row) => {
      const cells = [
        row.namespace,
        row.name,
        row.finding,
        row.networks.join(", ") || "-",
        row.controller ?? "-",
      ];
      const eviction = evicted.get(row);
      const told = eviction?.evicted ? "yes" : `no: ${eviction?.reason}`;
      return isEvicting ? [...cells, told] : cells;
    }),
  ]);
}
