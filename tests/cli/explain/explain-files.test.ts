/**
 * `genie explain` with the names and the files that kubectl's users have: every
 * kind of workload, several documents, `-f -`, `pod/web`, `shop/web`.
 */
import { afterAll, describe, expect, test } from "bun:test";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { statusFault } from "../../support/api-faults.ts";
import { startApiServer } from "../../support/api-server.ts";
import { genieBinary } from "../../support/build.ts";
import { removeCerts } from "../../support/certs.ts";
import { NodeDirectory } from "../fixtures.ts";

afterAll(removeCerts);

const annotated = (cni: string) => ({ metadata: { annotations: { cni } } });

/** A workload whose own annotation says something else than its template's. */
const workload = (kind: string, rest: object) => ({
  apiVersion: "apps/v1",
  kind,
  metadata: {
    name: "web",
    namespace: "shop",
    annotations: { cni: "nowhere" },
  },
  ...rest,
});

const template = { ...annotated("weave"), spec: { containers: [] } };

/** One line for each pod: whose it is and which networks it gets. */
function heads(stdout: string): string[] {
  return [...stdout.matchAll(/^(\S.* (?:gets|uses) .*|eth0 .*)$/gm)].map(
    ([line]) => line.replace(/, from .*/, ""),
  );
}

/** The first lines of the blocks that the pods of a file get. */
async function headsOf(node: NodeDirectory, file: string): Promise<string[]> {
  const { exitCode, stdout, stderr } = await node.type("explain", ["-f", file]);
  expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
  return heads(stdout);
}

describe("explain -f, workloads", () => {
  test.each<[kind: string, object: object]>([
    ["Deployment", { spec: { template } }],
    ["StatefulSet", { spec: { template } }],
    ["DaemonSet", { spec: { template } }],
    ["ReplicaSet", { spec: { template } }],
    ["ReplicationController", { spec: { template } }],
    ["Job", { spec: { template } }],
    ["Rollout", { spec: { template } }],
    ["CronJob", { spec: { jobTemplate: { spec: { template } } } }],
    ["PodTemplate", { template }],
  ])(
    "%s, its template counts, not its own annotations",
    async (kind, object) => {
      using node = await NodeDirectory.installed();
      const file = node.write("a.json", JSON.stringify(workload(kind, object)));
      expect(await headsOf(node, file)).toEqual([
        `a pod of ${kind.toLowerCase()} shop/web gets 1 network on this node:`,
        "eth0 (primary): weave (CNI name weave-net)",
      ]);
    },
  );

  test("an annotation above the template, is pointed out", async () => {
    using node = await NodeDirectory.installed();
    const file = node.write(
      "a.json",
      JSON.stringify(
        workload("Deployment", {
          spec: { template: { spec: { containers: [] } } },
        }),
      ),
    );
    const { stdout } = await node.type("explain", ["-f", file]);
    expect(stdout).toContain(
      '  annotation "cni" of the Deployment itself means nothing: pods get the annotations of its template\n',
    );
    expect(heads(stdout)).toEqual([
      "a pod of deployment shop/web gets 1 network on this node:",
      "eth0 (primary): canal (CNI name canal-net)",
    ]);
  });
});

test("explain -f, misspelt annotations of a pod and of its namespace are pointed out", async () => {
  using node = await NodeDirectory.installed();
  const file = node.write(
    "a.yaml",
    `
kind: Namespace
metadata: { name: shop, annotations: { CNI: weave, team: a } }
---
kind: Pod
metadata:
  name: web
  namespace: shop
  annotations: { k8s.v1.cni.cncf.io/network: lan, app: web, cni: weave, networks: lan }
`,
  );
  const { exitCode, stdout } = await node.type("explain", ["-f", file]);
  expect(exitCode).toBe(0);
  expect(stdout.split("\n").slice(2, 6)).toEqual([
    '  namespace "shop": annotation "CNI" is not read by genie: did you mean "cni"?',
    '  annotation "k8s.v1.cni.cncf.io/network" is not read by genie: did you mean "k8s.v1.cni.cncf.io/networks"?',
    '  annotation "networks" is read only beside a blank "cni"',
    "",
  ]);
});

describe("explain --ifname", () => {
  test("the runtime's interface is the primary", async () => {
    using node = await NodeDirectory.installed();
    const file = node.write(
      "a.json",
      JSON.stringify(annotated("weave,canal@eth0")),
    );
    const words = ["-o", "json", "-f", file, "--ifname", "net0"];
    const { stdout } = await node.type("explain", words);
    expect(JSON.parse(stdout)).toMatchObject({
      attachments: [
        { ifname: "net0", primary: true, network: "weave" },
        { ifname: "eth0", primary: false, network: "canal" },
      ],
    });
  });

  test("a list without it, fails as the pod would", async () => {
    using node = await NodeDirectory.installed();
    const file = node.write("a.json", JSON.stringify(annotated("weave@eth0")));
    const ended = await node.type("explain", ["-f", file, "--ifname=net0"]);
    expect(ended).toMatchObject({ exitCode: 1, stdout: "" });
    expect(ended.stderr).toContain(
      "no network is attached as net0 (CNI_IFNAME)",
    );
  });

  test.each(["a/b", "sixteen-bytes-ab", "."])(
    "%s, no runtime may send it",
    async (ifname) => {
      using node = await NodeDirectory.installed();
      const words = ["-f", "a.json", "--ifname", ifname];
      const { exitCode, stderr } = await node.type("explain", words);
      expect(exitCode).toBe(2);
      expect(stderr).toStartWith(
        `genie explain: --ifname "${ifname}": interface name `,
      );
    },
  );
});

const several = `
apiVersion: v1
kind: Service
metadata: { name: web }
---
---
apiVersion: v1
kind: Pod
metadata: { name: web, namespace: shop, annotations: { cni: weave } }
---
apiVersion: v1
kind: List
items:
  - kind: Pod
    metadata: { generateName: job-, annotations: { cni: "weave,canal@net1" } }
  - kind: ConfigMap
    metadata: { name: web }
---
apiVersion: batch/v1
kind: Job
metadata: { name: web, namespace: batch }
spec: { template: { spec: { hostNetwork: true, containers: [] } } }
`;

describe("explain -f, a list of the API server", () => {
  test("its items have the kind of the list", async () => {
    using node = await NodeDirectory.installed();
    const { kind: _, ...item } = workload("", { spec: { template } });
    const list = { kind: "DeploymentList", items: [item] };
    const file = node.write("a.json", JSON.stringify(list));
    expect(await headsOf(node, file)).toEqual([
      "a pod of deployment shop/web gets 1 network on this node:",
      "eth0 (primary): weave (CNI name weave-net)",
    ]);
  });

  test("items that are no array are an error", async () => {
    using node = await NodeDirectory.installed();
    const list = { kind: "PodList", items: annotated("weave") };
    const file = node.write("a.json", JSON.stringify(list));
    expect(await node.type("explain", ["-f", file])).toEqual({
      exitCode: 1,
      stdout: "",
      stderr: `genie explain: ${file}: items: expected an array, got an object\n`,
    });
  });
});

describe("explain -f without POD", () => {
  test("every pod and workload of the file, other objects are passed over", async () => {
    using node = await NodeDirectory.installed();
    const file = node.write("a.yaml", several);
    expect(await headsOf(node, file)).toEqual([
      "shop/web gets 1 network on this node:",
      "eth0 (primary): weave (CNI name weave-net)",
      "default/job- gets 2 networks on this node:",
      "eth0 (primary): weave (CNI name weave-net)",
      "a pod of job batch/web uses the node's own network: the runtime calls no CNI plugin for it",
    ]);
  });

  test("-o json, an object for one, a list for several", async () => {
    using node = await NodeDirectory.installed();
    const file = node.write("a.yaml", several);
    const json = async (...words: string[]) => {
      const { stdout } = await node.type("explain", [
        "-o",
        "json",
        "-f",
        file,
        ...words,
      ]);
      return JSON.parse(stdout) as unknown;
    };
    expect(await json()).toMatchObject([
      { pod: { namespace: "shop", name: "web" } },
      { pod: { namespace: "default", name: "job-" } },
      {
        pod: { kind: "Job", namespace: "batch", name: "web" },
        hostNetwork: true,
        attachments: [],
      },
    ]);
    expect(await json("pod/web")).toMatchObject({
      pod: { namespace: "shop", name: "web" },
    });
  });

  test.each<[operand: string, head: string]>([
    ["pod/web", "shop/web gets 1 network on this node:"],
    ["pods/web", "shop/web gets 1 network on this node:"],
    ["po/web", "shop/web gets 1 network on this node:"],
    [
      "job/web",
      "a pod of job batch/web uses the node's own network: the runtime calls no CNI plugin for it",
    ],
    [
      "jobs.batch/web",
      "a pod of job batch/web uses the node's own network: the runtime calls no CNI plugin for it",
    ],
    ["job-", "default/job- gets 2 networks on this node:"],
  ])("%s, only that one", async (operand, head) => {
    using node = await NodeDirectory.installed();
    const file = node.write("a.yaml", several);
    const { stdout } = await node.type("explain", [operand, "-f", file]);
    expect(heads(stdout).filter((line) => !line.startsWith("eth0"))).toEqual([
      head,
    ]);
  });

  test("one that would fail, is reported beside the others and the exit code is 1", async () => {
    using node = await NodeDirectory.installed();
    const file = node.write(
      "a.yaml",
      `{kind: Pod, metadata: {name: a, annotations: {cni: foo}}}\n---\n{kind: Pod, metadata: {name: b}}\n`,
    );
    const { exitCode, stdout, stderr } = await node.type("explain", [
      "-f",
      file,
    ]);
    expect({
      exitCode,
      heads: heads(stdout)[0],
      stderr: stderr.replaceAll(node.root, ""),
    }).toEqual({
      exitCode: 1,
      heads: "default/b gets 1 network on this node:",
      stderr:
        'genie explain: default/a: no network "foo" in /etc/cni/net.d: have canal, weave\n',
    });
  });

  test.each<[what: string, text: string, message: RegExp]>([
    [
      "no pod",
      "kind: Service\nmetadata: {name: a}\n",
      /^genie explain: \S+a\.yaml: neither a pod nor a workload is in it\n$/,
    ],
    ["nothing", "", /^genie explain: \S+a\.yaml: no object is in it\n$/],
    [
      "an empty list",
      "kind: PodList\nitems: []\n",
      /neither a pod nor a workload is in it\n$/,
    ],
    [
      "annotations of another kind",
      "metadata: {name: a, annotations: [cni]}\n",
      /a\.yaml: pod "a": metadata\.annotations: expected an object, got an array\n$/,
    ],
    [
      "a port of another kind",
      "metadata: {name: a}\nspec: {containers: [{}, {ports: [{hostPort: '80'}]}]}\n",
      /a\.yaml: pod "a": spec\.containers\.1\.ports\.0\.hostPort: expected a number, got "80"\n$/,
    ],
    [
      "a broken file",
      "a: [",
      /^genie explain: \S+a\.yaml: neither YAML nor JSON: document 1, from line 1: .+\n$/,
    ],
    [
      "a broken document",
      "---\nkind: Pod\n---\nkind: Pod\n--- # third\na: [\n",
      /neither YAML nor JSON: document 3, from line 5: .+\n$/,
    ],
    [
      "a broken document after one without dashes",
      "kind: Pod\n---\na: [\n",
      /neither YAML nor JSON: document 2, from line 2: .+\n$/,
    ],
    [
      "broken JSON",
      '{\n"kind": "Pod",\n}x',
      /neither YAML nor JSON: invalid character '}' looking for beginning of object key string at line 3, column 1\n$/,
    ],
  ])("%s, says so", async (_, text, message) => {
    using node = await NodeDirectory.installed();
    const file = node.write("a.yaml", text);
    const { exitCode, stderr } = await node.type("explain", ["-f", file]);
    expect(exitCode).toBe(1);
    expect(stderr).toMatch(message);
  });

  test("no such file, says so", async () => {
    using node = await NodeDirectory.installed();
    expect(await node.type("explain", ["-f", "/nowhere.yaml"])).toEqual({
      exitCode: 1,
      stdout: "",
      stderr: "genie explain: /nowhere.yaml: no such file or directory\n",
    });
  });
});

describe("explain, what would fail", () => {
  test("an executable for addresses that is missing, as the pod would be told", async () => {
    using node = await NodeDirectory.installed();
    rmSync(join(node.binDir, "host-local"));
    const file = node.write(
      "a.json",
      JSON.stringify({ metadata: { name: "web" } }),
    );
    const { exitCode, stderr } = await node.type("explain", ["-f", file]);
    expect({ exitCode, stderr: stderr.replaceAll(node.root, "") }).toEqual({
      exitCode: 1,
      stderr:
        'genie explain: [default/web:canal] failed to find plugin "host-local" in path [/opt/cni/bin]\n',
    });
  });
});

describe("explain, a pod of the API server", () => {
  test.each<[words: string[]]>([
    [["web", "-n", "shop"]],
    [["shop/web"]],
    [["shop/web", "-n", "shop"]],
    [["pod/web", "-n", "shop"]],
    [["pods/web", "--namespace=shop"]],
    [["po/web", "-n", "shop"]],
  ])("%j", async (words) => {
    await using server = await startApiServer();
    server.pods.put({
      metadata: {
        namespace: "shop",
        name: "web",
        annotations: { cni: "weave" },
      },
    });
    using node = await NodeDirectory.installed(
      `--kubeconfig=${server.kubeconfig()}`,
    );
    const { exitCode, stdout } = await node.type("explain", words);
    expect([exitCode, heads(stdout)[0]]).toEqual([
      0,
      "shop/web gets 1 network on this node:",
    ]);
  });

  test("the node's credential and a pod that does not exist, not found and not forbidden", async () => {
    await using server = await startApiServer();
    server.inject(
      statusFault(403, {
        message: `pods "web" is forbidden: User "system:node:n1" cannot get resource "pods" in API group "" in the namespace "default": no relationship found between node 'n1' and this object`,
      }),
    );
    using node = await NodeDirectory.installed(
      `--kubeconfig=${server.kubeconfig()}`,
    );
    expect(await node.type("explain", ["web"])).toEqual({
      exitCode: 1,
      stdout: "",
      stderr:
        'genie explain: failed to get pod "default/web": not found on this node: the node\'s credential sees the pods of its own node only\n',
    });
  });
});

describe("explain at the executable", () => {
  test("-f - and a pipe as a file, every document", async () => {
    using node = await NodeDirectory.installed();
    const binary = genieBinary();
    const run = (script: string) => {
      const { exitCode, stdout, stderr } = Bun.spawnSync({
        cmd: [
          "bash",
          "-c",
          script,
          binary,
          node.write("a.yaml", several),
          ...node.directories,
        ],
        env: { PATH: process.env["PATH"] ?? "" },
      });
      return {
        exitCode,
        stderr: stderr.toString(),
        pods: heads(stdout.toString()).length,
      };
    };
    const all = { exitCode: 0, stderr: "", pods: 5 };
    expect(run('file=$1; shift; "$0" explain "$@" -f - <"$file"')).toEqual(all);
    expect(run('file=$1; shift; "$0" explain "$@" -f <(cat "$file")')).toEqual(
      all,
    );
  }, 120_000);
});
