/**
 * The API server of the bench, a process of its own so that it answers while the
 * bench waits for a child. Says where its kubeconfig is; then, to every message,
 * a summary of its requests.
 */
import { pod } from "../scripts/noop-node.ts";
import { startApiServer } from "../tests/support/api-server.ts";
import { removeCerts } from "../tests/support/certs.ts";
import { definitions, wide } from "./cluster.ts";

const server = await startApiServer();
const { namespace } = pod;
const statusKey = "k8s.v1.cni.cncf.io/network-status";
server.pods.put({ metadata: { ...pod, annotations: { cni: "noop" } } });
server.pods.put({ metadata: { ...wide.pod, annotations: wide.annotations } });
for (const name of definitions) {
  const config = { cniVersion: "1.0.0", name, type: "noop" };
  server.definitions.put({
    metadata: { name, namespace },
    spec: { config: JSON.stringify(config) },
  });
}

serveMultus();

process.on("message", () => {
  const { annotations } =
    server.pods.get(namespace, wide.pod.name)?.metadata ?? {};
  process.send?.({
    requests: server.requests.length,
    networkStatus: annotations?.[statusKey] ?? "[]",
  });
});
process.on("disconnect", () => {
  removeCerts();
  void server.stop().then(() => process.exit());
});
const { url, port } = server;
process.send?.({ url, port, kubeconfig: server.kubeconfig() });

/**
 * What Multus asks beyond genie's requests: it replaces the status of the pod, in
 * a format that we do not read, and its daemon lists and watches.
 */
function serveMultus(): void {
  const times = Number.POSITIVE_INFINITY;
  for (const { name } of [pod, wide.pod])
    server.inject({
      kind: "answer",
      times,
      match: ({ method, path }) =>
        method === "PUT" && path.endsWith(`/pods/${name}/status`),
      body: JSON.stringify(server.pods.get(namespace, name)),
    });
  server.inject({
    kind: "stall",
    times,
    match: ({ path }) => path.includes("watch=true"),
  });
  const lists = {
    "/api/v1/pods": [pod, wide.pod].map(({ name }) =>
      server.pods.get(namespace, name),
    ),
    "/apis/k8s.cni.cncf.io/v1/network-attachment-definitions": definitions.map(
      (name) => server.definitions.get(namespace, name),
    ),
  };
  for (const [path, items] of Object.entries(lists))
    server.inject({
      kind: "answer",
      times,
      match: (request) => request.path.split("?")[0] === path,
      body: JSON.stringify({ metadata: { resourceVersion: "1" }, items }),
    });
}
