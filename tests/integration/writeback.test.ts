/**
 * What the compiled executable tells the pod about its addresses, in the pod's
 * annotations (selection.md §7).
 */
import { describe, expect, test } from "bun:test";
import { type Fault, statusFault } from "../support/api-faults.ts";
import { type ApiServer, startApiServer } from "../support/api-server.ts";
import {
  asking,
  keptKubeconfig,
  scriptedResult,
  startScriptedNode,
  store,
} from "../support/scripted-node.ts";

const path = "/api/v1/namespaces/shop/pods/web";
const get = { method: "GET", path, status: 200, user: "genie" };
const patch = {
  method: "PATCH",
  path: `${path}/status`,
  status: 200,
  user: "genie",
};

const statusKey = "k8s.v1.cni.cncf.io/network-status";

/** The pod's annotations as they are now, ours decoded. */
function annotationsOf(api: ApiServer): Record<string, unknown> {
  const {
    "multi-ip-preferences": preferences,
    [statusKey]: status,
    ...others
  } = api.pods.get("shop", "web")?.metadata.annotations ?? {};
  return {
    ...others,
    ...(preferences !== undefined && {
      preferences: JSON.parse(preferences) as unknown,
    }),
    ...(status !== undefined && { status: JSON.parse(status) as unknown }),
  };
}

/** The status of a pod with alpha as eth0 and beta as eth1. */
const alphaAndBeta = {
  preferences: {
    multi_entry: 2,
    ips: {
      ip1: { ip: "10.1.0.2", interface: "eth0" },
      ip2: { ip: "10.2.0.2", interface: "eth1" },
    },
  },
  status: [
    {
      name: "alpha-net",
      interface: "eth0",
      ips: ["10.1.0.2"],
      default: true,
      dns: {},
    },
    {
      name: "beta-net",
      interface: "eth1",
      ips: ["10.2.0.2"],
      default: false,
      dns: {},
    },
  ],
};

describe("write-back, a status of an earlier sandbox", () => {
  const old = {
    "multi-ip-preferences": JSON.stringify(alphaAndBeta.preferences),
    [statusKey]: JSON.stringify(alphaAndBeta.status),
  };

  test.each<[string, Record<string, string>]>([
    ["one network", {}],
    ["one network, which cni names", { cni: "alpha" }],
    ["no more networks by NPWG", { "k8s.v1.cni.cncf.io/networks": "[]" }],
  ])("%s: the new one replaces it", async (_, asked) => {
    await using api = await startApiServer();
    await using node = await startScriptedNode();
    const pod = await node.pod();
    const annotations = { ...asked, ...old };
    store(api, pod, annotations);
    await node.succeed("ADD", pod, { ...asking(api), annotations });
    expect(api.requests).toMatchObject([patch]);
    expect(annotationsOf(api)).toEqual({
      ...asked,
      status: alphaAndBeta.status.slice(0, 1),
    });
  });
});

describe("write-back, whose uid", () => {
  const other = "11111111-2222-3333-4444-555555555555";

  test("a static pod: the uid of its mirror", async () => {
    await using api = await startApiServer();
    await using node = await startScriptedNode();
    const pod = await node.pod();
    const mirror = { "kubernetes.io/config.mirror": pod.uid };
    store(api, { ...pod, uid: other }, mirror);
    const annotations = {
      cni: "alpha,beta",
      "kubernetes.io/config.source": "file",
    };
    await node.succeed("ADD", pod, { ...asking(api), annotations });
    expect(api.requests).toEqual([get, patch]);
    expect(annotationsOf(api)).toEqual({ ...mirror, ...alphaAndBeta });
  });
});

describe("write-back, a failure does not fail the pod", () => {
  const cases: [string, (api: ApiServer) => Promise<void> | void][] = [
    [
      "503 all the time",
      (api) => api.inject({ ...statusFault(503), times: 100 }),
    ],
    ["no server", (api) => api.stop()],
  ];
  test.each(cases)("%s", async (_, harm) => {
    await using api = await startApiServer();
    await using node = await startScriptedNode();
    const pod = await node.pod();
    store(api, pod);
    const kubernetes = { kubeconfig: keptKubeconfig(node, api) };
    const options = {
      config: { kubernetes },
      annotations: { cni: "alpha,beta" },
    };
    await harm(api);
    expect(await node.succeed("ADD", pod, options)).toEqual(scriptedResult(0));
    expect(node.delegates.events()).toEqual([
      "start alpha ADD eth0",
      "end alpha ADD eth0",
      "start beta ADD eth1",
      "end beta ADD eth1",
    ]);
  });

  const tooLong = 'Pod "web" is invalid: metadata.annotations: Too long';
  const failed = "failed to write the pod's network status";

  test.each<[string, Fault, boolean]>([
    ["404", statusFault(404), false],
    ["422 too long", statusFault(422, { message: tooLong }), true],
  ])("%s: is it logged?", async (_, fault, isLogged) => {
    await using api = await startApiServer();
    await using node = await startScriptedNode();
    const pod = await node.pod();
    store(api, pod);
    api.inject(fault);
    await node.succeed("ADD", pod, {
      ...asking(api),
      annotations: { cni: "alpha,beta" },
    });
    expect(api.requests).toHaveLength(1);
    expect(node.log().includes(failed)).toBe(isLogged);
  });
});
