/**
 * The requirements of networks with devices (devices.md): the kubelet's socket, and for
 * resources that no device plugin of the node has, the node's name and the right to list
 * ResourceSlices.
 */
import { resourceOf } from "../../attach/choice/fetch-definitions.ts";
import type { Context } from "../../attach/context.ts";
import { own } from "../../cni/json.ts";
import { statusText } from "../../kube/api-error.ts";
import { definitionRequest } from "../../kube/client.ts";
import {
  type Api,
  Unreachable,
  jsonOf,
  openApi,
} from "../../kube/typed-api.ts";
import { Deadline } from "../../linux/deadline.ts";
import { messageOf } from "../../linux/errno.ts";
import { quote } from "../../linux/text.ts";
import { recordDirectory } from "../../state/record-directory.ts";
import { definitionGroup, definitionResource } from "../manifest/definition.ts";
import { reviewOf } from "./access.ts";
import {
  type Check,
  type Outcome,
  fail,
  named,
  ok,
  skip,
  warn,
} from "./check.ts";

/** Milliseconds for the kubelet, and for the API server. */
const limitMs = 5000;

export const checkDevices: Check = async ({
  config,
  context,
  host,
  terminal,
}) => {
  if (!config || !context || !host.isOwnRoot) return [];
  const { nodeName, podResourcesSocket } = config;
  // Another check reports an API server that is not configured, or away.
  const api = await openApi(config.kube, terminal.env).catch(() => undefined);
  const wanted = api ? await resourcesOf(api, context) : new Set<string>();
  const plugins = await pluginsOf(podResourcesSocket, wanted.size > 0);
  const claimed = wanted.difference(plugins.resources ?? wanted);
  const findings = [
    plugins.finding,
    named("node name", nameFinding(nodeName, claimed)),
  ];
  if (api && nodeName !== undefined && claimed.size > 0)
    findings.push(
      named(
        "may list resourceslices",
        await sliceFinding(api, nodeName, claimed),
      ),
    );
  return findings;
};

/** The resources of all definitions, else of those that pods of this node use. */
async function resourcesOf(api: Api, context: Context): Promise<Set<string>> {
  const path = `/apis/${definitionGroup}/v1/${definitionResource}?limit=1000`;
  let found: unknown;
  try {
    found = own(await valueOf(api, path), "items");
  } catch (error) {
    if (error instanceof Unreachable) return new Set();
    found = await recordedDefinitions(api, context);
  }
  return new Set([found].flat().flatMap((one) => resourceOf(one) ?? []));
}

/** Throws Error for any status but 2xx. */
async function valueOf(api: Api, path: string): Promise<unknown> {
  const response = await api.send(path, AbortSignal.timeout(limitMs));
  if (response.ok) return jsonOf(response);
  throw new Error(statusText(response.status));
}

/** At most so many; each is one request. */
const maxDefinitions = 20;

async function recordedDefinitions(
  api: Api,
  context: Context,
): Promise<unknown[]> {
  const names = new Set<string>();
  for await (const { record } of recordDirectory(context).all())
    for (const { definition } of record?.attachments ?? [])
      if (definition !== undefined) names.add(definition);
  const read = [...names].slice(0, maxDefinitions).map((one) => {
    const [namespace = "", name = ""] = one.split("/");
    const { path } = definitionRequest(namespace, name);
    return valueOf(api, path).catch(() => undefined);
  });
  return Promise.all(read);
}

/** The resources of the kubelet's device plugins; absent if the kubelet does not respond. */
async function pluginsOf(
  socket: string,
  needed: boolean,
): Promise<{ finding: Outcome; resources?: ReadonlySet<string> }> {
  const { pluginResources } = await import("../../kubelet/podresources.ts");
  try {
    const found = await pluginResources(socket, new Deadline(limitMs));
    const list = [...found].toSorted().join(", ") || "no device plugin";
    return {
      finding: ok(`${socket} responds: ${list}`),
      resources: found,
    };
  } catch (error) {
    const found = messageOf(error);
    if (!needed) return { finding: skip(found) };
    const advice = "set podResourcesSocket to the socket of this kubelet";
    return { finding: fail(found, advice) };
  }
}

function nameFinding(
  nodeName: string | undefined,
  claimed: ReadonlySet<string>,
): Outcome {
  if (nodeName !== undefined) return ok(`nodeName is ${quote(nodeName)}`);
  if (claimed.size === 0)
    return skip("nodeName is not configured; only devices of claims need it");
  return warn(
    `nodeName is not configured; needed for devices of ${resourceList(claimed)}, which no device plugin of this node has`,
    "add nodeName to 00-genie.conflist: this node's name in the API",
  );
}

/** A node may list its own slices only, as ADD does. */
function sliceFinding(
  api: Api,
  nodeName: string,
  claimed: ReadonlySet<string>,
): Promise<Outcome> {
  const ofNode = { key: "spec.nodeName", operator: "In", values: [nodeName] };
  return reviewOf(
    api,
    {
      verb: "list",
      group: "resource.k8s.io",
      resource: "resourceslices",
      fieldSelector: { requirements: [ofNode] },
    },
    `devices of ${resourceList(claimed)} without a metadata file of their driver`,
    { denied: warn, advice: "genie manifest --dra | kubectl apply -f -" },
  );
}

function resourceList(claimed: ReadonlySet<string>): string {
  return [...claimed].toSorted().map(quote).join(", ");
}
