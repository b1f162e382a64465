/**
 * `make demo`: genie's main job with real networks. An API server has pods with
 * annotations, network namespaces stand for the pods, and the reference plugins make
 * two different networks. Every step is verified; the exit code is 0 only if all of
 * them succeed.
 */
import { isAbsolute, resolve } from "node:path";
import { startApiServer } from "../tests/support/api-server.ts";
import { attachPods, refuseUnknownNetwork, tellNetworks } from "./attach.ts";
import { detachPods } from "./detach.ts";
import { createNode } from "./node.ts";
import { enterPrivateNode, isPrivate, preparePrivateNode } from "./private.ts";
import { reachPods, reachPort } from "./reach.ts";
import { Report, StepFailed } from "./report.ts";
import { reachFromOutside } from "./outside.ts";
import { readWriteBack } from "./status.ts";

/** The time limit of the demo. */
const limitMs = 55_000;

const about = `genie is a CNI plugin that lets each pod choose its networks. This demo acts as the
container runtime. An API server has five pods with annotations; the reference plugins
make two networks, "canal" by bridge and "weave" by ptp. The demo attaches the pods,
sends packets between them, and deletes them. It runs in network and mount namespaces
of its own, which end with it.`;

if (isPrivate()) process.exit(await main());
enterPrivateNode(import.meta.path);

async function main(): Promise<number> {
  const report = new Report(process.stdout.isTTY, process.env);
  setTimeout(() => {
    report.failed(`not finished within ${limitMs / 1000} s`);
    process.exit(1);
  }, limitMs).unref();
  try {
    report.paragraph(about);
    await tell(report);
    report.summary();
    return 0;
  } catch (error) {
    // The step has reported the failure.
    if (!(error instanceof StepFailed)) report.failed(String(error));
    return 1;
  }
}

async function tell(report: Report): Promise<void> {
  report.heading("The node");
  await report.step("its own network and mount namespaces", preparePrivateNode);
  await using api = await startApiServer();
  await using node = await report.step(
    "two networks to choose from",
    () => createNode(api, binary()),
    ({ networks, plugins }) =>
      `${networks.map(({ file }) => file).join(", ")}; plugins of ${plugins}`,
  );
  report.note(`API server ${api.url}, TLS, bearer token`);

  report.heading("Attach");
  const attached = await attachPods(node, report);
  await refuseUnknownNetwork(node, report);
  report.table(
    ["POD", "ANNOTATION", "INTERFACE", "ADDRESS", "NETWORK", "MS"],
    attached.flatMap(({ pod, interfaces, ms }) =>
      interfaces.map(({ name, address, network }, i) => [
        ...(i === 0
          ? [pod.name, pod.cni === undefined ? "none" : `cni: ${pod.cni}`]
          : ["", ""]),
        name,
        address,
        network,
        i === 0 ? ms.toFixed(0) : "",
      ]),
    ),
  );
  await tellNetworks(attached, report);

  report.heading("Reach");
  await reachPods(attached, report);
  await reachPort(node, attached, report);

  report.heading("Two default routes");
  await reachFromOutside(attached, report);

  report.heading("The pod's status");
  await readWriteBack(node, attached, report);

  report.heading("Delete");
  await detachPods(node, attached, report);
}

/** The executable that `make build` made. */
function binary(): string {
  const root = resolve(import.meta.dir, "..");
  const path = process.env["GENIE_BINARY"] ?? "dist/genie";
  return isAbsolute(path) ? path : resolve(root, path);
}
