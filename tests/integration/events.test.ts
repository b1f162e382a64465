/** `genie agent --events` (agent.md "Events"), by the compiled executable. */
import { describe, expect, test } from "bun:test";
import { existsSync, unlinkSync } from "node:fs";
import { join } from "node:path";
import { RunningAgent } from "../support/agent.ts";
import { type ApiServer, startApiServer } from "../support/api-server.ts";
import { Cluster } from "../support/cluster.ts";
import { failing, until } from "../support/delegate.ts";
import { changed, configure } from "../support/hot-cluster.ts";
import type { Node, Pod } from "../support/node.ts";
import { startScriptedNode } from "../support/scripted-node.ts";

interface Event {
  type: string;
  reason: string;
  message: string;
  count: number;
  involvedObject: Record<string, string>;
  source: object;
}

function eventsOf(api: ApiServer, name: string): string[] {
  const all = api.events.list() as unknown as Event[];
  return all
    .filter(({ involvedObject }) => involvedObject["name"] === name)
    .map(({ type, reason, message }) => `${type} ${reason}: ${message}`)
    .toSorted();
}

async function untilEvents(api: ApiServer, name: string, events: string[]) {
  const expected = events.toSorted();
  await until(
    () => Bun.deepEquals(eventsOf(api, name), expected),
    `the events of ${name}`,
  ).catch(() => {});
  expect(eventsOf(api, name)).toEqual(expected);
}

/** In the API and on the node. */
async function makePod(
  node: Node,
  api: ApiServer,
  name: string,
  annotations: Record<string, string>,
): Promise<Pod> {
  const pod = await node.pod(name);
  const { namespace, uid } = pod;
  api.pods.put({
    metadata: { name, namespace, uid, annotations },
    spec: { nodeName: "node1" },
    status: { phase: "Running" },
  });
  return pod;
}

describe("genie agent --events", () => {
  test("interfaces that come and go, ADDs that fail, pods past genie; nothing of a lone default network", async () => {
    await using api = await startApiServer();
    await using node = await startScriptedNode();
    const kubeconfig = api.kubeconfig();
    const config = { kubernetes: { kubeconfig } };
    const before = await makePod(node, api, "before", { cni: "alpha,beta" });
    await node.succeed("ADD", before, {
      annotations: { cni: "alpha,beta" },
      config,
    });
    await makePod(node, api, "past", { cni: "beta" });
    await using agent = new RunningAgent(
      node,
      "--no-cache",
      "--events",
      "--metrics=0",
      `--kubeconfig=${kubeconfig}`,
    );
    const { url } = await agent.said("serving metrics");

    const both = { cni: "alpha,beta" };
    const web = await makePod(node, api, "web", both);
    const plain = await makePod(node, api, "plain", {});
    await makePod(node, api, "misspelt", { "cni.io": "beta" });
    const failed = await makePod(node, api, "failing", both);
    await node.succeed("ADD", plain, { annotations: {}, config });
    await node.succeed("ADD", web, { annotations: both, config });
    await untilEvents(api, "web", [
      "Normal AddedInterface: Add eth0 [10.1.0.2/24] from alpha",
      "Normal AddedInterface: Add eth1 [10.2.0.2/24] from beta",
    ]);
    node.delegates.behave("ADD beta", failing());
    // The same twice within a minute is one event.
    await node.fail("ADD", failed, { annotations: both, config });
    await node.fail("ADD", failed, { annotations: both, config });
    await node.succeed("DEL", web, { annotations: both, config });
    await untilEvents(api, "web", [
      "Normal AddedInterface: Add eth0 [10.1.0.2/24] from alpha",
      "Normal AddedInterface: Add eth1 [10.2.0.2/24] from beta",
      "Normal RemovedInterface: Remove eth0 [10.1.0.2/24] from alpha",
      "Normal RemovedInterface: Remove eth1 [10.2.0.2/24] from beta",
    ]);
    await untilEvents(api, "failing", [
      'Warning FailedAddingInterface: [shop/failing:beta] plugin "beta" failed to add eth1: no',
    ]);
    await untilEvents(api, "past", [
      "Warning AttachedPastGenie: genie did not attach it in this boot: the runtime used another plugin: beta",
    ]);
    await untilEvents(api, "misspelt", [
      'Warning MisspeltAnnotation: annotation "cni.io" is not read by genie: did you mean "cni"?',
    ]);
    expect([eventsOf(api, "plain"), eventsOf(api, "before")]).toEqual([[], []]);
    const [event] = api.events.list();
    expect(event).toMatchObject({
      metadata: { namespace: "shop" },
      involvedObject: { apiVersion: "v1", kind: "Pod", namespace: "shop" },
      source: { component: "genie", host: "node1" },
      reportingComponent: "genie",
      count: 1,
    });
    // Whatever they come from: no key that the API server does not know.
    for (const { involvedObject } of api.events.list())
      expect(Object.keys(involvedObject as object).toSorted()).toEqual([
        "apiVersion",
        "kind",
        "name",
        "namespace",
        "uid",
      ]);
    const text = await (await fetch(`${String(url)}metrics`)).text();
    expect(text).toContain('genie_audit_findings{finding="past-genie"} 3\n');
    expect(text).toContain(
      'genie_audit_findings{finding="network-missing"} 0\n',
    );
    expect((await fetch(`${String(url)}readyz`)).status).toBe(200);
    expect(await agent.end()).toBe(0);
  }, 60_000);

  test("a running pod gets a network and loses it: nothing of its default network, which stays", async () => {
    await using cluster = await Cluster.start();
    configure(cluster);
    const { node, api } = cluster;
    const pod = await makePod(node, api, "web", {});
    await cluster.add(pod);
    await using agent = new RunningAgent(node, "--no-cache", "--events");
    // The agent makes it right before its first look at the records, of which it tells nothing.
    const callsLog = join(node.dataDir, "calls.log");
    await until(() => existsSync(callsLog), "the agent's calls.log");
    await changed(cluster, "attach", "shop/web", "weave");
    const added = "Normal AddedInterface: Add eth1 [10.67.0.2/24] from weave";
    await untilEvents(api, "web", [added]);
    await changed(cluster, "detach", "shop/web", "eth1");
    await untilEvents(api, "web", [
      added,
      "Normal RemovedInterface: Remove eth1 [10.67.0.2/24] from weave",
    ]);
    await cluster.del(pod);
    expect(await agent.end()).toBe(0);
    expect(eventsOf(api, "web")).toHaveLength(2);
  }, 60_000);

  test("the only network of a pod, but not the default one: an automatic choice, a logical network", async () => {
    await using cluster = await Cluster.start();
    const config = { automatic: { networks: ["weave"] } };
    configure(cluster, config);
    const { node, api } = cluster;
    await using agent = new RunningAgent(node, "--no-cache", "--events");
    const callsLog = join(node.dataDir, "calls.log");
    await until(() => existsSync(callsLog), "the agent's calls.log");
    api.logicalNetworks.put({
      metadata: { namespace: "shop", name: "part" },
      spec: { plugin: "weave", sub_subnet: "10.67.0.128/25" },
    });
    const automatic = { cni: "" };
    const logical = { cni: "", networks: "part" };
    await cluster.add(await makePod(node, api, "auto", automatic), { config });
    await cluster.add(await makePod(node, api, "logical", logical), { config });
    unlinkSync(join(node.binDir, "ptp"));
    const refused = await makePod(node, api, "failing", automatic);
    const { msg } = await cluster.refuse(refused, { config });
    const added = (address: string) =>
      `Normal AddedInterface: Add eth0 [${address}] from weave`;
    await untilEvents(api, "auto", [added("10.67.0.2/24")]);
    await untilEvents(api, "logical", [added("10.67.0.130/25")]);
    await untilEvents(api, "failing", [
      `Warning FailedAddingInterface: ${msg}`,
    ]);
    expect(await agent.end()).toBe(0);
  }, 60_000);
});
