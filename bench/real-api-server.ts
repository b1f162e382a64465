/**
 * The real etcd and kube-apiserver of `make cluster` as the API server of the bench, a
 * process of its own like `api-server.ts` and with the same messages. Started with the
 * directory for its files and the executable of genie.
 */
import { join } from "node:path";
import * as v from "valibot";
import { apiServer, etcd } from "../tests/cluster/control-plane.ts";
import { Daemon, type DaemonOptions } from "../tests/cluster/daemon.ts";
import { findParts } from "../tests/cluster/parts.ts";
import { Pki } from "../tests/cluster/pki.ts";
import { run } from "../scripts/run.ts";
import { until } from "../tests/cluster/until.ts";
import {
  definitionOf,
  definitions,
  nodeName,
  peers,
  plain,
  slice,
  wide,
} from "./cluster.ts";

const [directory = "", genie = ""] = process.argv.slice(2);
const core = "/api/v1/namespaces/default";
/** Static tokens, so that the bench's requests are told from our own. */
const token = { bench: "bench-token", admin: "admin-token" };

const parts = await findParts(console.error);
const pki = new Pki(join(directory, "pki"));
const ports = { etcd: freePort(), api: freePort() };
const auditLog = join(directory, "audit.log");
const tokenFile = join(directory, "tokens.csv");
await Bun.write(
  tokenFile,
  Object.entries(token)
    .map(([user, text]) => `${text},${user},${user},system:masters\n`)
    .join(""),
);

const daemons: Daemon[] = [];
const url = `https://127.0.0.1:${ports.api}`;
const ca = pki.ca.cert;

await start(etcd(parts, join(directory, "etcd"), ports.etcd));
await start({
  name: "kube-apiserver",
  cmd: [
    ...apiServer(parts, pki, directory, auditLog, ports),
    `--token-auth-file=${tokenFile}`,
  ],
  ready: async () => (await request("GET", "/readyz")) === "ok",
  seconds: 90,
});
await makeNamespace();
const uids = {
  plain: await makePod(plain.pod.name, plain.annotations),
  peers: await makePod(peers.pod.name, peers.annotations),
  wide: await makePod(wide.pod.name, wide.annotations),
};
await post("/apis/resource.k8s.io/v1/resourceslices", {
  apiVersion: "resource.k8s.io/v1",
  kind: "ResourceSlice",
  ...slice,
});
const [kubeconfig, agentKubeconfig] = await Promise.all(
  [token.bench, token.admin].map(async (bearer) => {
    const path = join(directory, `kubeconfig-of-${bearer}`);
    await Bun.write(path, JSON.stringify(kubeconfigOf(bearer)));
    return path;
  }),
);

let requests = 0;
let offset = 0;
process.on("message", () => {
  void summary().then((seen) => process.send?.(seen));
});
process.on("disconnect", () => {
  // An API server that is asked to end waits for its etcd.
  const ended = daemons.map((daemon) => daemon.stop("SIGKILL"));
  void Promise.all(ended).then(() => process.exit());
});
process.send?.({ url, port: ports.api, kubeconfig, agentKubeconfig, uids });

/** It ends with us, however we end. */
async function start(options: DaemonOptions): Promise<void> {
  const cmd = ["setpriv", "--pdeathsig=KILL", ...options.cmd];
  const daemon = new Daemon(directory, { ...options, cmd });
  daemons.push(daemon);
  await daemon.start();
}

function freePort(): number {
  using listener = Bun.listen({
    hostname: "127.0.0.1",
    port: 0,
    socket: { data() {} },
  });
  return listener.port;
}

async function makeNamespace(): Promise<void> {
  const manifest = Bun.YAML.parse(await run([genie, "manifest"]));
  const crd = v
    .parse(v.array(v.looseObject({ kind: v.string() })), manifest)
    .find(({ kind }) => kind === "CustomResourceDefinition");
  await post("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", crd);
  // The server makes the namespace, and a controller that is not here its account.
  await until("the default namespace", 30, () =>
    post(`${core}/serviceaccounts`, { metadata: { name: "default" } }),
  );
  const group = "k8s.cni.cncf.io/v1";
  for (const name of definitions)
    await until("network attachment definitions to be known", 30, () =>
      post(`/apis/${group}/namespaces/default/network-attachment-definitions`, {
        apiVersion: group,
        kind: "NetworkAttachmentDefinition",
        ...definitionOf(name),
      }),
    );
}

/** Its uid. */
async function makePod(
  name: string,
  annotations: Record<string, string>,
): Promise<string> {
  const pod = {
    metadata: { name, annotations },
    spec: {
      nodeName,
      containers: [{ name: "main", image: "none" }],
    },
  };
  return podOf(await post(`${core}/pods`, pod)).uid;
}

async function summary(): Promise<object> {
  const added = await Bun.file(auditLog).slice(offset).text();
  offset += Buffer.byteLength(added);
  requests += added.split('"user":{"username":"bench"').length - 1;
  const { annotations } = podOf(
    await request("GET", `${core}/pods/${wide.pod.name}`),
  );
  return {
    requests,
    networkStatus: annotations["k8s.v1.cni.cncf.io/network-status"] ?? "[]",
  };
}

function podOf(text: string) {
  const schema = v.object({
    metadata: v.object({
      uid: v.string(),
      annotations: v.record(v.string(), v.string()),
    }),
  });
  return v.parse(schema, JSON.parse(text)).metadata;
}

function kubeconfigOf(bearer: string): object {
  return {
    clusters: [
      {
        name: "bench",
        cluster: {
          server: url,
          "certificate-authority-data": Buffer.from(ca).toString("base64"),
        },
      },
    ],
    users: [{ name: "bench", user: { token: bearer } }],
    contexts: [{ name: "bench", context: { cluster: "bench", user: "bench" } }],
    "current-context": "bench",
  };
}

function post(path: string, object: unknown): Promise<string> {
  return request("POST", path, object);
}

/** Throws Error for any status but 2xx. */
async function request(
  method: string,
  path: string,
  object?: unknown,
): Promise<string> {
  const response = await fetch(url + path, {
    method,
    headers: {
      authorization: `Bearer ${token.admin}`,
      "content-type": "application/json",
    },
    ...(object !== undefined && { body: JSON.stringify(object) }),
    tls: { ca },
    proxy: false,
  });
  const text = await response.text();
  if (response.ok) return text;
  throw new Error(`${method} ${path}: ${response.status}: ${text}`);
}
