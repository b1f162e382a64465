/**
 * Where the compiled executable takes a pod's annotations from, and how often it
 * asks the API server for them (selection.md §1, §7).
 */
import { describe, expect, test } from "bun:test";
import { lstatSync } from "node:fs";
import { join } from "node:path";
import { statusFault } from "../support/api-faults.ts";
import { type ApiServer, startApiServer } from "../support/api-server.ts";
import { type CallOptions, type Node, nothing } from "../support/node.ts";
import { callPlugin } from "../support/runtime.ts";
import {
  type Attached,
  asking,
  attached,
  startNode,
  store,
} from "../support/scripted-node.ts";

const getPod = {
  method: "GET",
  path: "/api/v1/namespaces/shop/pods/web",
  status: 200,
  user: "genie",
};

describe("annotations of the runtime, no API call", () => {
  const cases: [string, CallOptions["annotations"], Attached][] = [
    ["an object", { cni: "weave" }, { eth0: "weave" }],
    ["an empty object", {}, { eth0: "canal" }],
    ["null", null, { eth0: "canal" }],
  ];
  test.each(cases)("%s", async (_, annotations, expected) => {
    await using api = await startApiServer();
    await using node = await startNode();
    const pod = await node.pod();
    store(api, pod, { cni: "canal,weave" });
    const options = { ...asking(api), annotations };
    await node.succeed("ADD", pod, options);
    expect(await attached(pod)).toEqual(expected);
    await node.succeed("CHECK", pod, options);
    await node.succeed("DEL", pod, options);
    expect(api.requests).toEqual([]);
    expect(await node.remains()).toEqual(nothing);
  });

  test.each([["a string"], [["cni"]], [{ cni: 1 }]])(
    "not an object of strings: %j",
    async (value) => {
      await using node = await startNode();
      const pod = await node.pod();
      const runtimeConfig = { "io.kubernetes.cri.pod-annotations": value };
      expect(await node.fail("ADD", pod, { runtimeConfig })).toMatchObject({
        code: 7,
      });
      expect(await node.remains()).toEqual(nothing);
    },
  );
});

describe("annotations of the API server, one GET", () => {
  const cases: [string, Record<string, string> | undefined, Attached][] = [
    ["a choice", { cni: "weave" }, { eth0: "weave" }],
    ["no annotations", undefined, { eth0: "canal" }],
  ];
  test.each(cases)("%s", async (_, annotations, expected) => {
    await using api = await startApiServer();
    await using node = await startNode();
    const pod = await node.pod();
    store(api, pod, annotations);
    await node.succeed("ADD", pod, asking(api));
    expect(await attached(pod)).toEqual(expected);
    await node.succeed("CHECK", pod, asking(api));
    await node.succeed("DEL", pod, asking(api));
    expect(api.requests).toEqual([getPod]);
    expect(await node.remains()).toEqual(nothing);
  });

  test("the next pod resumes the TLS session of the last one", async () => {
    await using api = await startApiServer();
    await using node = await startNode();
    const file = join(node.dataDir, "tls-session");
    const add = async () => {
      const pod = await node.pod();
      store(api, pod, { cni: "weave" });
      await node.succeed("ADD", pod, asking(api));
      return attached(pod);
    };
    // The first ADD made the data directory, maybe after the response.
    await node.succeed("ADD", await node.pod(), { annotations: {} });
    expect(await add()).toEqual({ eth0: "weave" });
    const { mode, ino } = lstatSync(file);
    expect(mode & 0o777).toBe(0o600);
    expect(await add()).toEqual({ eth0: "weave" });
    // Written by a full handshake only.
    expect(lstatSync(file).ino).toBe(ino);
  });

  test("apiReads: cached, from the server's cache", async () => {
    await using api = await startApiServer();
    await using node = await startNode();
    const pod = await node.pod();
    store(api, pod, { cni: "weave" });
    const { config } = asking(api);
    await node.succeed("ADD", pod, {
      config: { ...config, apiReads: "cached" },
    });
    expect(await attached(pod)).toEqual({ eth0: "weave" });
    const path = `${getPod.path}?resourceVersion=0`;
    expect(api.requests).toEqual([{ ...getPod, path }]);
  });

  test("503 once: asked again", async () => {
    await using api = await startApiServer();
    await using node = await startNode();
    const pod = await node.pod();
    store(api, pod, { cni: "weave" });
    api.inject(statusFault(503));
    await node.succeed("ADD", pod, asking(api));
    expect(await attached(pod)).toEqual({ eth0: "weave" });
    expect(api.requests).toEqual([{ ...getPod, status: 503 }, getPod]);
  });

  test("a pod that was created again", async () => {
    await using api = await startApiServer();
    await using node = await startNode();
    const pod = await node.pod();
    store(
      api,
      { ...pod, uid: "11111111-2222-3333-4444-555555555555" },
      { cni: "weave" },
    );
    const failure = await node.fail("ADD", pod, asking(api));
    expect(failure).toMatchObject({
      code: 11,
      msg: expect.stringContaining(pod.uid),
    });
    expect(api.requests).toEqual([getPod]);
    expect(await node.remains()).toEqual(nothing);
  });

  test.each(["kubernetes.io/config.hash", "kubernetes.io/config.mirror"])(
    "a static pod, its hash in %s",
    async (key) => {
      await using api = await startApiServer();
      await using node = await startNode();
      const pod = await node.pod();
      const annotations = {
        cni: "weave",
        [key]: pod.uid,
        "kubernetes.io/config.source": "file",
      };
      store(
        api,
        { ...pod, uid: "11111111-2222-3333-4444-555555555555" },
        annotations,
      );
      await node.succeed("ADD", pod, asking(api));
      expect(await attached(pod)).toEqual({ eth0: "weave" });
    },
  );
});

describe("no pod: no API call, K8S_ANNOT", () => {
  // The reference plugins refuse arguments that they do not know.
  const choice = 'K8S_ANNOT={"cni":"weave"};IgnoreUnknown=1';
  const cases: [string, string, Attached][] = [
    ["nothing", "", { eth0: "canal" }],
    ["K8S_ANNOT", choice, { eth0: "weave" }],
    [
      "a name without a namespace",
      `K8S_POD_NAME=web;${choice}`,
      { eth0: "weave" },
    ],
    [
      "an empty namespace",
      `K8S_POD_NAMESPACE=;K8S_POD_NAME=web;${choice}`,
      { eth0: "weave" },
    ],
    [
      "an empty name",
      `K8S_POD_NAMESPACE=shop;K8S_POD_NAME=;${choice}`,
      { eth0: "weave" },
    ],
  ];
  test.each(cases)("%s", async (_, CNI_ARGS, expected) => {
    await using api = await startApiServer();
    await using node = await startNode();
    const pod = await node.pod();
    const options = { ...asking(api), env: { CNI_ARGS } };
    await node.succeed("ADD", pod, options);
    expect(await attached(pod)).toEqual(expected);
    await node.succeed("DEL", pod, options);
    expect(api.requests).toEqual([]);
    expect(await node.remains()).toEqual(nothing);
  });

  test.each(["K8S_ANNOT=weave", "K8S_ANNOT=[]", 'K8S_ANNOT={"cni":7}'])(
    "%s",
    async (CNI_ARGS) => {
      await using node = await startNode();
      const failure = await node.fail("ADD", await node.pod(), {
        env: { CNI_ARGS },
      });
      expect(failure).toMatchObject({
        code: 7,
        msg: expect.stringContaining("K8S_ANNOT"),
      });
      expect(await node.remains()).toEqual(nothing);
    },
  );

  test("the runtime's annotations come first", async () => {
    await using node = await startNode();
    const pod = await node.attach({
      annotations: {},
      env: { CNI_ARGS: choice },
    });
    expect(await attached(pod)).toEqual({ eth0: "canal" });
  });

  test("the API server comes first", async () => {
    await using api = await startApiServer();
    await using node = await startNode();
    const pod = await node.pod();
    store(api, pod, { cni: "canal" });
    const CNI_ARGS = `K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web;${choice}`;
    await node.succeed("ADD", pod, { ...asking(api), env: { CNI_ARGS } });
    expect(await attached(pod)).toEqual({ eth0: "canal" });
    expect(api.requests).toEqual([getPod]);
  });
});

/**
 * The sample of CNI-Genie as its installer leaves it: no cniVersion, and no
 * place but the default ones, so it runs where those are private.
 */
describe("the original's 00-genie.conf", () => {
  function sample(api: ApiServer, kubeconfig: string) {
    return {
      name: "k8s-pod-network",
      type: "genie",
      etcd_endpoints: "http://10.96.232.136:6666",
      log_level: "debug",
      policy: {
        type: "k8s",
        k8s_api_root: `${api.url}/api/v1/`,
        k8s_auth_token: "test-token",
      },
      kubernetes: { kubeconfig },
    };
  }

  test("ADD and DEL", async () => {
    await using api = await startApiServer();
    await using node = await startNode();
    const pod = await node.pod();
    store(api, pod, { cni: "weave" });
    // A kubeconfig that names a server of its own and no user: both are overridden.
    const server = "https://127.0.0.1:1";
    const kubeconfig = api.kubeconfig({ user: {}, cluster: { server } });
    const call = async (command: "ADD" | "DEL") => {
      const request = node.request(command, pod);
      const { binary, env } = atDefaultPaths(node, request.binary, request.env);
      return callPlugin({ binary, env, config: sample(api, kubeconfig) });
    };
    const { exitCode, json } = await call("ADD");
    const [eth0] = await pod.netns.links();
    expect({ exitCode, json, links: await attached(pod) }).toEqual({
      exitCode: 0,
      json: {
        cniVersion: "0.1.0",
        ip4: {
          ip: expect.stringMatching(/^10\.67\.0\.\d+\/24$/),
          gateway: "10.67.0.1",
          routes: [{ dst: "10.68.0.0/16", gw: "10.67.0.1" }],
        },
        dns: {
          nameservers: ["10.96.0.10", "10.96.0.11"],
          domain: "weave.local",
        },
      },
      links: { eth0: "weave" },
    });
    expect(eth0?.name).toBe("eth0");
    expect(api.requests).toEqual([getPod]);
    expect(await call("DEL")).toEqual({
      exitCode: 0,
      json: undefined,
      stdout: "",
      stderr: expect.any(String),
    });
    expect(api.requests).toEqual([getPod]);
    expect(await node.remains()).toEqual(nothing);
  });
});

/** The executable in a mount namespace where the node's directories have the default paths. */
function atDefaultPaths(
  node: Node,
  binary: string,
  env: Readonly<Record<string, string>>,
) {
  const script = node.plugin(
    "at-default-paths",
    `#!/bin/sh
exec unshare --mount sh -ec '
  cd ${node.directory}
  mkdir -p ${node.dataDir} etc/upper/cni/net.d etc/work lib/upper/cni/genie lib/work
  mount -t overlay -o lowerdir=/etc,upperdir=etc/upper,workdir=etc/work overlay /etc
  mount -t overlay -o lowerdir=/var/lib,upperdir=lib/upper,workdir=lib/work overlay /var/lib
  mount --bind ${node.confDir} /etc/cni/net.d
  mount --bind ${node.dataDir} /var/lib/cni/genie
  cd /
  exec ${binary}'
`,
  );
  return {
    binary: script,
    env: { ...env, CNI_PATH: join(node.directory, "bin") },
  };
}
