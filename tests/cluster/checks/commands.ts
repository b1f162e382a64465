/**
 * What an operator asks about a running pod: `genie list` and `genie explain` on the node,
 * `kubectl genie` from another machine, and the trace of its calls. It changes nothing.
 */
import {
  chownSync,
  copyFileSync,
  mkdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { delimiter, join } from "node:path";
import { type Ended, attempt } from "../../../scripts/run.ts";
import { trace } from "../containerd.ts";
import { expectEqual, expectMatch } from "../expect.ts";
import { installed } from "../genie.ts";
import { kubeletConf, nodeName } from "../kubelet.ts";
import { binDir } from "../networks.ts";
import type { Cluster } from "../node.ts";
import type { Report } from "../report.ts";
import { until } from "../until.ts";
import { logFile, tracedCalls } from "../traced-network.ts";

/** UID of nobody: an operator has no rights on the node. */
const nobody = 65_534;

/** `pod` has flannel on eth0, canal on eth1 and the traced network on net1. */
export async function checkCommands(
  cluster: Cluster,
  report: Report,
  pod: string,
): Promise<void> {
  await checkTrace(report, pod);
  await checkList(cluster, report, pod);
  await checkExplain(report, pod);
  await checkKubectl(cluster, report, pod);
}

async function checkTrace(report: Report, pod: string): Promise<void> {
  await report.check(
    "TRACEPARENT and TRACESTATE of the runtime reach delegates; calls.log and the log have the trace ID",
    () => {
      const delegate = tracedCalls().find((line) => line.includes(pod)) ?? "";
      expectMatch("delegate", delegate, new RegExp(trace.env.TRACEPARENT));
      expectMatch("delegate", delegate, new RegExp(trace.env.TRACESTATE));
      const lines = ["/var/lib/cni/genie/calls.log", logFile].map((file) => {
        const line = lineOf(file, `"default/${pod}"`);
        expectMatch(file, line, new RegExp(`"traceId":"${trace.id}"`));
        return `${file}: ${line}`;
      });
      return [delegate, ...lines].join("\n");
    },
  );
}

function lineOf(file: string, part: string): string {
  const lines = readFileSync(file, "utf8").split("\n");
  return lines.find((line) => line.includes(part)) ?? "";
}

interface Row {
  ifname: string;
  network: string;
  definition?: string;
  hostInterface?: string;
  bytesIn?: number;
  bytesOut?: number;
}

async function checkList(
  { kubectl }: Cluster,
  report: Report,
  pod: string,
): Promise<void> {
  await report.check(
    "genie list: age, host interface, bytes in and out; -o wide, json, yaml",
    async () => {
      const rows = async (): Promise<Row[]> =>
        (
          JSON.parse(await installed("list", "-o", "json")) as (Row & {
            pod: { name: string };
          })[]
        ).filter((row) => row.pod.name === pod);
      const before = await rows();
      await kubectl.run(
        "exec",
        pod,
        "--",
        ..."ping -c 1 -s 1000 10.244.1.1".split(" "),
      );
      const after = await rows();
      expectEqual(
        "attachments",
        after.map(
          ({ ifname, network, definition = network }) =>
            `${ifname} ${definition}`,
        ),
        ["eth0 flannel", "eth1 canal", "net1 default/traced"],
      );
      for (const { hostInterface } of after)
        expectMatch("host interface", hostInterface ?? "", /^veth/);
      const grown = (key: "bytesIn" | "bytesOut") =>
        (after[0]?.[key] ?? 0) - (before[0]?.[key] ?? 0);
      // An echo of 1042 bytes with its headers.
      for (const key of ["bytesIn", "bytesOut"] as const)
        expectEqual(`${key} of eth0`, grown(key) >= 1042, true);
      const yaml = await installed("list", "-n=default", "-o=yaml");
      expectEqual(
        "yaml",
        (Bun.YAML.parse(yaml) as Row[]).some(({ ifname }) => ifname === "net1"),
        true,
      );
      const wide = await installed("list", "-A", "-o", "wide");
      expectMatch(
        "wide",
        wide,
        /CNI NAME +ADDRESSES +HOST +IN +OUT +SANDBOX +AGE/,
      );
      return `${wide}1042 bytes by ping: ${grown("bytesIn")} in, ${grown("bytesOut")} out\n${JSON.stringify(after[0])}`;
    },
  );
}

async function checkExplain(report: Report, pod: string): Promise<void> {
  const explain = (...words: string[]) =>
    attempt([
      join(binDir, "genie"),
      "explain",
      ...words,
      `--kubeconfig=${kubeletConf}`,
      `--node=${nodeName}`,
    ]);
  await report.check(
    "genie explain pod/x -n ns, -o json|yaml, -A; exit codes 0, 1, 2",
    async () => {
      const text = await explain(`pod/${pod}`, "-n", "default");
      expectMatch("text", text.stdout, /gets 3 networks on this node:/);
      const json = await explain(`default/${pod}`, "-o=json");
      const yaml = await explain(pod, "-o", "yaml");
      expectEqual("yaml", Bun.YAML.parse(yaml.stdout), JSON.parse(json.stdout));
      const all = await explain("-A", "-o=json");
      expectMatch("-A", all.stdout || all.stderr, /^\[/);
      const listed = JSON.parse(all.stdout) as { pod: { name: string } }[];
      expectEqual(
        "-A",
        listed.some((one) => one.pod.name === pod),
        true,
      );
      const nobodys = await explain("nobody", "-n", "default");
      const wrong = await explain(pod, "--outputs=json");
      // One pod of the node asks for a network that does not exist.
      expectEqual(
        "exit codes",
        [text, json, yaml, all, nobodys, wrong].map(({ exitCode }) => exitCode),
        [0, 0, 0, 1, 1, 2],
      );
      return [
        text.stdout
          .split("\n")
          .filter((line) => /^\S|^ {2}annot/.test(line))
          .join("\n"),
        `-A: ${listed.length} pods; ${all.stderr.trim()}`,
        `exit code 1: ${nobodys.stderr.trim()}`,
        `exit code 2: ${wrong.stderr.trim()}`,
      ].join("\n");
    },
  );
}

async function checkKubectl(
  cluster: Cluster,
  report: Report,
  pod: string,
): Promise<void> {
  await report.check(
    "kubectl genie explain by a link kubectl-genie: an operator with rights in the API only",
    async () => {
      const genie = await operator(cluster);
      const text = await until("the operator's rights", 10, async () => {
        const said = await genie("explain", pod);
        if (said.exitCode === 0) return said;
        throw new Error(said.stderr.trim());
      });
      expectMatch(
        "text",
        text.stdout,
        /^eth1: annotation "cni" names "canal"$/m,
      );
      expectMatch("text", text.stdout, /"type": "traced"/);
      const json = await genie(
        "explain",
        `pod/${pod}`,
        "-n",
        "default",
        "-o",
        "json",
      );
      const { attachments } = JSON.parse(json.stdout) as {
        attachments: { ifname: string }[];
      };
      expectEqual(
        "interfaces",
        attachments.map(({ ifname }) => ifname),
        ["eth0", "eth1", "net1"],
      );
      const all = await genie("explain", "-A");
      expectMatch(
        "-A",
        all.stdout,
        new RegExp(`default/${pod} asks for 3 networks`),
      );
      const list = await genie("list");
      const none = await genie("explain", "nobody");
      const wrong = await genie("explain");
      expectEqual(
        "exit codes",
        [text, json, all, list, none, wrong].map(({ exitCode }) => exitCode),
        [0, 0, 0, 1, 1, 2],
      );
      return [
        text.stdout.trim(),
        list.stderr.trim(),
        none.stderr.trim(),
        wrong.stderr.trim(),
      ].join("\n");
    },
  );
}

/** Runs the real kubectl with genie as its plugin, as another user, who may read pods and definitions. */
async function operator({
  kubectl,
  kubeconfig,
  parts,
  pki,
}: Cluster): Promise<(...words: string[]) => Promise<Ended>> {
  // The caches and the suite's directory are closed to others.
  const home = "/opt/operator";
  mkdirSync(home);
  copyFileSync(parts("kubectl"), join(home, "kubectl"));
  symlinkSync(join(binDir, "genie"), join(home, "kubectl-genie"));
  const pair = pki.client("operator");
  const files = ["ca.crt", "operator.crt", "operator.key"].map((name) =>
    join(home, name),
  );
  const [ca = "", cert = "", key = ""] = files;
  copyFileSync(pki.ca.certFile, ca);
  copyFileSync(pair.certFile, cert);
  copyFileSync(pair.keyFile, key);
  const config = kubeconfig(join(home, "config"), {
    certFile: cert,
    keyFile: key,
  });
  const text = readFileSync(config, "utf8");
  writeFileSync(config, text.replaceAll(pki.ca.certFile, ca));
  for (const path of [...files, config]) chownSync(path, nobody, nobody);
  await kubectl.apply(rights);
  return (...words) =>
    attempt(
      [
        ..."setpriv --clear-groups".split(" "),
        `--reuid=${nobody}`,
        `--regid=${nobody}`,
        join(home, "kubectl"),
        "genie",
        ...words,
      ],
      {
        cwd: "/",
        env: {
          HOME: home,
          KUBECONFIG: config,
          PATH: [home, process.env["PATH"]].join(delimiter),
        },
      },
    );
}

const rights = [
  {
    apiVersion: "rbac.authorization.k8s.io/v1",
    kind: "ClusterRole",
    metadata: { name: "operator" },
    rules: [
      { apiGroups: [""], resources: ["pods"], verbs: ["get", "list"] },
      {
        apiGroups: ["k8s.cni.cncf.io"],
        resources: ["network-attachment-definitions"],
        verbs: ["get"],
      },
    ],
  },
  {
    apiVersion: "rbac.authorization.k8s.io/v1",
    kind: "ClusterRoleBinding",
    metadata: { name: "operator" },
    roleRef: {
      apiGroup: "rbac.authorization.k8s.io",
      kind: "ClusterRole",
      name: "operator",
    },
    subjects: [{ kind: "User", name: "operator" }],
  },
];
