/**
 * The API server of the bench, a process of its own so that it answers while the
 * bench waits for a child. Says where its kubeconfig is; then, to every message,
 * how many requests it has had.
 */
import { pod } from "../tests/smoke/noop-node.ts";
import { startApiServer } from "../tests/support/api-server.ts";

const server = await startApiServer();
server.pods.put({ metadata: { ...pod, annotations: { cni: "noop" } } });
process.on("message", () => process.send?.(server.requests.length));
process.on("disconnect", () => void server.stop().then(() => process.exit()));
process.send?.(server.kubeconfig());
