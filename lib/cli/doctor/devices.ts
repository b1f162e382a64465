/**
 * What networks with devices need (devices.md): the kubelet's socket, and for resources
 * that no device plugin of the node has, the node's name and the right to list
 * ResourceSlices.
 */
import { resourceOf } from "../../attach/choice/fetch-definitions.ts";
import type { Context } from "../../attach/context.ts";
import { own } from "../../cni/json.ts";
import type { Kube } from "../../kube/client.ts";
import { Deadline, monotonicMs } from "../../linux/deadline.ts";
import { messageOf } from "../../linux/errno.ts";
import { quote } from "../../linux/text.ts";
import { recordDirectory } from "../../state/record-directory.ts";
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

export const checkDevices: Check = async ({ config, context, host }) => {
  if (!config || !context || !host.isOwnRoot) return [];
  const kube = await openKube(context);
  const wanted = kube ? await resourcesOf(kube, context) : new Set<string>();
  const plugins = await pluginsOf(config.podResourcesSocket, wanted.size > 0);
  const claimed = wanted.difference(plugins.resources ?? wanted);
  return [
    plugins.finding,
    named("node name", nameFinding(config.nodeName, claimed)),
    ...(kube && config.nodeName !== undefined && claimed.size > 0
      ? [
          named(
            "may list resourceslices",
            await sliceFinding(kube, config.nodeName, claimed),
          ),
        ]
      : []),
  ];
};

/**
 * undefined: no API server is configured; another check reports it, and one that does
 * not respond. A pod would try again: here its time is over with the first failure.
 */
async function openKube(context: Context): Promise<Kube | undefined> {
  const { config, dependencies } = context;
  let responds = true;
  const clock = () => (responds ? monotonicMs() : Number.POSITIVE_INFINITY);
  try {
    await dependencies.checkKube(config);
    const deadline = new Deadline(limitMs, clock);
    return await dependencies.kube(config, deadline, ({ status }) => {
      responds = status !== undefined;
    });
  } catch {
    return undefined;
  }
}

/** The resources of all definitions, else of those that pods of this node use. */
async function resourcesOf(kube: Kube, context: Context): Promise<Set<string>> {
  try {
    const text = await kube.get({
      path: "/apis/k8s.cni.cncf.io/v1/network-attachment-definitions?limit=1000",
      action: () => "list network-attachment-definitions",
      subject: { name: "", unknownKind: "the kind is not installed" },
    });
    const items = own(JSON.parse(text), "items");
    return resources(Array.isArray(items) ? items : []);
  } catch {
    return resources(await recordedDefinitions(kube, context));
  }
}

function resources(definitions: readonly unknown[]): Set<string> {
  return new Set(definitions.flatMap((one) => resourceOf(one) ?? []));
}

/** At most so many; each is one request. */
const maxDefinitions = 20;

async function recordedDefinitions(
  kube: Kube,
  context: Context,
): Promise<unknown[]> {
  const names = new Set<string>();
  for await (const { record } of recordDirectory(context).all())
    for (const { definition } of record?.attachments ?? [])
      if (definition !== undefined) names.add(definition);
  const definitions = [...names].slice(0, maxDefinitions).map((one) => {
    const [namespace = "", name = ""] = one.split("/");
    return kube.getDefinition(namespace, name).catch(() => undefined);
  });
  return Promise.all(definitions);
}

/** The resources of the kubelet's device plugins; undefined if it does not answer. */
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
    `nodeName is not configured; needed for devices of ${listed(claimed)}, which no device plugin of this node has`,
    "add nodeName to 00-genie.conflist: this node's name in the API",
  );
}

/** The request of ADD, for a driver that does not exist. */
async function sliceFinding(
  kube: Kube,
  nodeName: string,
  claimed: ReadonlySet<string>,
): Promise<Outcome> {
  const { listSliceDevices } = await import("../../kube/resource-claims.ts");
  try {
    await listSliceDevices(kube, nodeName, "genie.doctor");
    return ok("allowed");
  } catch (error) {
    return warn(
      `${messageOf(error)}; needed for devices of ${listed(claimed)} without a metadata file of their driver`,
      "genie manifest --dra | kubectl apply -f -",
    );
  }
}

function listed(claimed: ReadonlySet<string>): string {
  return [...claimed].toSorted().map(quote).join(", ");
}
