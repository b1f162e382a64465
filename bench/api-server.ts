/**
 * The API server of the bench, a process of its own so that it answers while the
 * bench waits for a child. Says where its kubeconfig is; then, to every message,
 * a summary of its requests.
 */
import { startApiServer } from "../tests/support/api-server.ts";
import { removeCerts } from "../tests/support/certs.ts";
import {
  definitionOf,
  definitions,
  devicePods,
  peers,
  plain,
  slice,
  wide,
} from "./cluster.ts";

const server = await startApiServer();
const statusKey = "k8s.v1.cni.cncf.io/network-status";
for (const { pod, annotations } of [plain, peers, wide])
  server.pods.put({ metadata: { ...pod, annotations } });
server.slices.push(slice);
for (const name of Object.values(devicePods))
  server.pods.put({ metadata: { ...plain.pod, name } });
for (const name of definitions) server.definitions.put(definitionOf(name));

process.on("message", () => {
  const { namespace, name } = wide.pod;
  const { annotations } = server.pods.get(namespace, name)?.metadata ?? {};
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
process.send?.({
  url,
  port,
  kubeconfig: server.kubeconfig(),
  // All requests are counted: the rows of the agent are with the real server only.
  agentKubeconfig: server.kubeconfig(),
  uids: {
    plain: plain.pod.uid,
    peers: peers.pod.uid,
    wide: wide.pod.uid,
  },
});
