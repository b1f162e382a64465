/** `kubectl genie`: the executable by a link called kubectl-genie, without a node. */
import { afterAll, describe, expect, test } from "bun:test";
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type ApiServer, startApiServer } from "../support/api-server.ts";
import { genieBinary } from "../support/build.ts";
import { temporaryDirectory } from "../support/delegate.ts";

const networks = "k8s.v1.cni.cncf.io/networks";
const home = temporaryDirectory();
afterAll(() => home[Symbol.dispose]());
const link = join(home.path, "kubectl-genie");
symlinkSync(genieBinary(), link);

async function genie(words: string[], env: Record<string, string> = {}) {
  const child = Bun.spawn([link, ...words], {
    cwd: "/",
    env: { HOME: home.path, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const [stdout, stderr, exitCode] = await Promise.all([
    child.stdout.text(),
    child.stderr.text(),
    child.exited,
  ]);
  return { exitCode, stdout, stderr };
}

async function cluster(): Promise<ApiServer> {
  const api = await startApiServer();
  api.definitions.put({
    metadata: { name: "storage", namespace: "shop" },
    spec: { config: '{"cniVersion":"1.0.0","type":"macvlan"}' },
  });
  api.pods.put({
    metadata: {
      name: "web",
      namespace: "shop",
      annotations: { cni: "flannel,10-weave@net7", [networks]: "storage,gone" },
    },
  });
  return api;
}

describe("kubectl genie", () => {
  test("explain: elements, interfaces, definitions; what needs the node says so", async () => {
    await using api = await cluster();
    const { exitCode, stdout, stderr } = await genie(
      ["explain", "pod/web", "-n", "shop"],
      { KUBECONFIG: api.kubeconfig() },
    );
    expect(stderr).toBe("");
    const onNode =
      "    its configuration is on the node: run genie explain there";
    expect(stdout.split("\n")).toEqual([
      "shop/web asks for 4 networks:",
      'eth0 (primary): annotation "cni" names "flannel"',
      onNode,
      'net7: annotation "cni" names "10-weave"',
      onNode,
      'net1: annotation "k8s.v1.cni.cncf.io/networks" adds definition "shop/storage"',
      "    {",
      '      "cniVersion": "1.0.0",',
      '      "type": "macvlan"',
      "    }",
      'net2: annotation "k8s.v1.cni.cncf.io/networks" adds definition "shop/gone"',
      "    failed to get definition shop/gone: not found",
      "",
    ]);
    expect(exitCode).toBe(0);
    expect(api.requests.every(({ user }) => user === "genie")).toBe(true);
  });

  test("explain: devices by definition, element, claim and identifier; a contradiction as ADD refuses it", async () => {
    await using api = await cluster();
    const annotations = { "k8s.v1.cni.cncf.io/resourceName": "intel.com/vf" };
    api.definitions.put({
      metadata: { name: "vf", namespace: "shop", annotations },
      spec: { config: '{"cniVersion":"1.0.0","type":"sriov"}' },
    });
    const explain = async (...elements: object[]) => {
      const metadata = {
        name: "devices",
        namespace: "shop",
        annotations: { [networks]: JSON.stringify(elements) },
      };
      const file = join(home.path, "devices.yaml");
      writeFileSync(file, JSON.stringify({ kind: "Pod", metadata }));
      return genie(["explain", "-f", file], { KUBECONFIG: api.kubeconfig() });
    };
    const { stdout } = await explain(
      { name: "vf", deviceID: "0000:03:02.0" },
      { name: "storage", resourceName: "intel.com/nic" },
      { name: "vf", resourceClaim: { claimName: "a", requestName: "b" } },
      { name: "storage", deviceID: "0000:03:02.0" },
    );
    expect(stdout.match(/^  device .*$/gm)).toEqual([
      "  device of intel.com/vf: the node's kubelet decides which",
      "  device of intel.com/nic: the node's kubelet decides which",
      "  device of claim a, request b: the node's kubelet decides which",
      "  device 0000:03:02.0 (named by the pod)",
    ]);
    const { exitCode, stderr } = await explain({
      name: "vf",
      resourceName: "intel.com/nic",
    });
    expect([exitCode, stderr]).toEqual([
      1,
      'genie explain: network-attachment-definition "shop/vf" has devices of "intel.com/vf": the pod asks for "intel.com/nic"\n',
    ]);
  });

  test("explain: ~/.kube/config, the namespace of its context, -o yaml", async () => {
    await using api = await cluster();
    mkdirSync(join(home.path, ".kube"), { recursive: true });
    const config = Bun.YAML.parse(readFileSync(api.kubeconfig(), "utf8")) as {
      contexts: { context: object }[];
    };
    for (const one of config.contexts)
      one.context = { ...one.context, namespace: "shop" };
    writeFileSync(join(home.path, ".kube/config"), JSON.stringify(config));
    const { stdout, stderr } = await genie(["explain", "web", "-o=yaml"]);
    expect(stderr).toBe("");
    expect(Bun.YAML.parse(stdout)).toMatchObject({
      pod: { namespace: "shop", name: "web" },
      attachments: [
        { ifname: "eth0", primary: true, network: "flannel" },
        { ifname: "net7", network: "10-weave" },
        {
          ifname: "net1",
          definition: "shop/storage",
          config: { type: "macvlan" },
        },
        { ifname: "net2", problem: expect.any(String) },
      ],
    });
  });

  test("explain: a definition whose configuration cannot be shown", async () => {
    await using api = await cluster();
    const specs = { absent: {}, blank: { config: " " }, torn: { config: "{" } };
    for (const [name, spec] of Object.entries(specs))
      api.definitions.put({ metadata: { name, namespace: "shop" }, spec });
    const annotations = { [networks]: Object.keys(specs).join() };
    api.pods.put({ metadata: { name: "odd", namespace: "shop", annotations } });
    const { stdout, stderr } = await genie(
      ["explain", "odd", "-n", "shop", "-o=yaml"],
      { KUBECONFIG: api.kubeconfig() },
    );
    expect(stderr).toBe("");
    const onNode = "it has no spec.config: the node has the configuration";
    expect(Bun.YAML.parse(stdout)).toMatchObject({
      attachments: [
        {},
        { definition: "shop/absent", problem: onNode },
        { definition: "shop/blank", problem: onNode },
        { definition: "shop/torn", problem: "spec.config is not JSON" },
      ],
    });
  });

  test("explain: a kubeconfig that is missing or damaged is named", async () => {
    const damaged = join(home.path, "damaged");
    writeFileSync(damaged, "{{{");
    for (const file of ["/nowhere", damaged]) {
      const { exitCode, stderr } = await genie(["explain", "web"], {
        KUBECONFIG: file,
      });
      expect(exitCode).toBe(1);
      expect(stderr).toStartWith("genie explain: kubeconfig");
      expect(stderr).toContain(`"${file}"`);
    }
  });

  test("explain -f: no API server for networks of nodes; annotations that no node takes are refused", async () => {
    const file = join(home.path, "pods.yaml");
    const pod = (name: string, annotations: object) => ({
      kind: "Pod",
      metadata: { name, annotations },
    });
    const items = [
      pod("plain", {}),
      pod("bad", { cni: "a,,b" }),
      pod("misspelt", { cni: "a", "cni.io": "b" }),
    ];
    writeFileSync(file, JSON.stringify({ kind: "List", items }));
    const { exitCode, stdout, stderr } = await genie(["explain", "-f", file]);
    expect(stdout).toStartWith(
      "default/plain asks for 1 network:\neth0 (primary): the default network of its node\n",
    );
    expect(stdout).toContain(
      'default/misspelt asks for 1 network:\n  annotation "cni.io" is not read by genie: did you mean "cni"?\neth0 (primary)',
    );
    expect(stderr).toStartWith("genie explain: default/bad: ");
    expect(exitCode).toBe(1);
  });

  test("explain, several files in KUBECONFIG: merged; the namespace is that of the current context", async () => {
    await using api = await cluster();
    const current = join(home.path, "current.yaml");
    const context = { cluster: "test", user: "test", namespace: "shop" };
    writeFileSync(
      current,
      JSON.stringify({
        "current-context": "mine",
        contexts: [{ name: "mine", context }],
      }),
    );
    const env = { KUBECONFIG: `${current}:/nowhere:${api.kubeconfig()}` };
    const { stdout, stderr } = await genie(["explain", "web"], env);
    expect(stderr).toBe("");
    expect(stdout).toStartWith("shop/web asks for 4 networks:\n");
  });

  test("explain -A: every pod, always a list", async () => {
    await using api = await cluster();
    // As kubectl: a file that is missing is none.
    const env = { KUBECONFIG: `/nowhere::${api.kubeconfig()}` };
    const { stdout, stderr } = await genie(["explain", "-A", "-o=json"], env);
    expect(stderr).toBe("");
    expect(JSON.parse(stdout)).toMatchObject([{ pod: { name: "web" } }]);
    const elsewhere = ["explain", "-A", "--node=other", "-o=json"];
    expect(JSON.parse((await genie(elsewhere, env)).stdout)).toEqual([]);
    const both = await genie(["explain", "-A", "web"], env);
    expect([both.exitCode, both.stderr.split("\n")[0]]).toEqual([
      2,
      "genie explain: --all-namespaces takes no POD and no --filename",
    ]);
  });

  test.each([
    "list",
    "gc",
    "audit",
    "install",
    "doctor",
    "agent",
    "metrics",
    "attach",
  ])("%s needs the node, and says so", async (command) => {
    expect(await genie([command])).toEqual({
      exitCode: 1,
      stdout: "",
      stderr: `kubectl genie: "${command}" needs the node: run \`genie ${command}\` there as root\n`,
    });
  });

  test.each(["conf-dir", "bin-dir", "data-dir"])(
    "explain --%s, a usage error: it is a directory of the node",
    async (option) => {
      const words = ["explain", "web", `--${option}=/etc`];
      const { exitCode, stderr } = await genie(words);
      expect([exitCode, stderr.split("\n")[0]]).toEqual([
        2,
        `genie explain: --${option} needs the node: run \`genie explain\` there as root`,
      ]);
    },
  );

  test("without words: the help; version and manifest work", async () => {
    expect((await genie([])).stdout).toContain(
      "`kubectl genie explain POD` works anywhere",
    );
    expect((await genie(["version"])).stdout).toMatch(
      /^genie \d+\.\d+\.\d+ \(commit [0-9a-f]{12}\)\n$/,
    );
    expect((await genie(["manifest"])).exitCode).toBe(0);
  });
});
