/**
 * The kubelet of the bench, the double of the tests in a process of its own: pods with
 * one device each, and the metadata file of a DRA driver (devices.md). Says where its
 * socket is; started with the directory of the kubelet's files.
 */
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { startKubelet } from "../tests/support/kubelet.ts";
import {
  attributesOf,
  devicePods,
  driver,
  nodeName,
  resources,
} from "./cluster.ts";

const [directory = ""] = process.argv.slice(2);
const claimOf = (name: string, device: string) => ({
  namespace: "default",
  name,
  containers: [],
  claims: [[{ name, devices: [{ driver, pool: nodeName, device }] }]],
});
const kubelet = await startKubelet([
  {
    namespace: "default",
    name: devicePods.plugged,
    containers: [[[resources.plugged, "vf-0"]]],
  },
  claimOf(devicePods.described, "nic-0"),
  claimOf(devicePods.listed, "nic-1"),
]);
const socket = join(directory, "pod-resources/kubelet.sock");
mkdirSync(join(directory, "pod-resources"));
symlinkSync(kubelet.socket, socket);
const claim = `dra-device-metadata/default_${devicePods.described}/nic`;
const described = join(directory, "plugins", driver, claim);
mkdirSync(described, { recursive: true });
const device = { driver, pool: nodeName, name: "nic-0" };
const attributes = attributesOf("nic-0");
const metadata = {
  kind: "DeviceMetadata",
  apiVersion: "metadata.resource.k8s.io/v1beta1",
  requests: [{ name: "nic", devices: [{ ...device, attributes }] }],
};
writeFileSync(join(described, "metadata.json"), JSON.stringify(metadata));

process.on("disconnect", () => {
  void kubelet.stop().then(() => process.exit());
});
process.send?.(socket);
