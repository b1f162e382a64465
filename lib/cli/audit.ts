/**
 * `genie audit`: running pods of this node whose annotations ask for what the record does
 * not have (agent.md "Audit"). With `--evict`, their controllers create them again.
 */
import type { V1Pod } from "@kubernetes/client-node";
import {
  type Audit,
  type Finding,
  auditPods,
  findings,
} from "../agent/report/audit.ts";
import { type Api, apiProblem } from "../kube/typed-api.ts";
import { messageOf } from "../linux/errno.ts";
import { quote } from "../linux/text.ts";
import type { Command } from "./command/command.ts";
import type { Input } from "./command/input.ts";
import { optionsOf } from "./command/options.ts";
import {
  outputOption,
  structured,
  structuredFormats,
} from "./command/output.ts";
import { type Column, counted, table } from "./command/table.ts";
import type { Terminal } from "./command/terminal.ts";
import type { Env } from "../cni/environment.ts";
import { directoriesOf, nodeOptions } from "./node/directories.ts";
import { apiOptions, openNodeApi } from "./node/node-api.ts";
import { contextOf } from "./node/node-context.ts";
import { apiNodeName } from "./node/node-name.ts";
import { listPods, podsInFile } from "./pods/pod-list.ts";
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

async function podsOf(input: Input, env: Env, node: string): Promise<V1Pod[]> {
  const file = input.text("filename");
  if (file !== undefined) return podsInFile(file, node);
  return listPods(await openNodeApi(input, env), node);
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
