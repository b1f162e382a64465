/** selection.md §2: annotation keys that genie does not read, and the one that was probably meant. */
import { describe, expect, test } from "bun:test";
import { misspeltAnnotations } from "../../lib/select/misspelt-annotations.ts";

const npwg = "k8s.v1.cni.cncf.io/networks";
const multus = "v1.multus-cni.io/default-network";

describe("misspeltAnnotations", () => {
  test.each<[key: string, meant: string]>([
    ["k8s.v1.cni.cncf.io/network", npwg],
    ["k8s.v1.cni.cncf.io/Networks", npwg],
    ["K8s.v1.cni.cncf.io/networks", npwg],
    ["k8s.v1.cni.cncf.io/netwroks", npwg],
    ["k8s.v1.cni.cncf.io", npwg],
    ["k8s.v1.cni.cncf.io.networks", npwg],
    // Wrong prefixes.
    ["k8s.cni.cncf.io/networks", npwg],
    ["k8s.v1.cni.io/networks", npwg],
    ["k8s.v1.cncf.io/networks", npwg],
    ["k8s.v1/networks", npwg],
    ["kubernetes.io/networks", npwg],
    ["cni/networks", npwg],
    ["v1.multus-cni.io/networks", npwg],
    ["k8s.v1.cni.cncf.io/default-network", multus],
    ["multus.io/default-network", multus],
    ["v1.multus-cni.io/default-networks", multus],
    ["v1.multus-cni.io/defaultNetwork", multus],
    ["v1.multus-cni.io", multus],
    ["default-network", multus],
    ["CNI", "cni"],
    ["cni.io", "cni"],
    ["cnis", "cni"],
    ["cin", "cni"],
    ["cni-networks", "cni"],
    ["genie.io/cni", "cni"],
    ["k8s.v1.cni.cncf.io/cni", "cni"],
  ])("%s, did you mean %s?", (key, meant) => {
    expect(misspeltAnnotations({ [key]: "canal" })).toEqual([
      `annotation "${key}" is not read by genie: did you mean "${meant}"?`,
    ]);
  });

  test.each([
    "cni",
    "networks",
    npwg,
    multus,
    "multi-ip-preferences",
    "k8s.v1.cni.cncf.io/network-status",
    "k8s.v1.cni.cncf.io/networks-status",
    // Of other software.
    "csi",
    "cri",
    "ci",
    "app",
    "network",
    "networking",
    "example.com/networks",
    "prometheus.io/scrape",
    "kubernetes.io/config.source",
    "kubernetes.io/ingress-bandwidth",
    "container.apparmor.security.beta.kubernetes.io/c",
    "cni.projectcalico.org/podIP",
    "cni.projectcalico.org/podIPs",
    "cni.projectcalico.org/containerID",
    "cni.projectcalico.org/ipv4pools",
    "cni.spidernet.io/default-route-nic",
    "cni.spidernet.io/network-resource-inject",
    "k8s.ovn.org/pod-networks",
    "k8s.ovn.org/primary-udn-ipamclaim",
    "ovn.kubernetes.io/logical_switch",
    "kubevirt.io/domain",
    "sidecar.istio.io/inject",
    "cluster-autoscaler.kubernetes.io/safe-to-evict",
  ])("%s, nothing", (key) => {
    expect(misspeltAnnotations({ [key]: "canal" })).toEqual([]);
  });

  test("network beside a blank cni, did you mean networks?", () => {
    expect(misspeltAnnotations({ cni: " ", network: "lan" })).toEqual([
      'annotation "network" is not read by genie: did you mean "networks"?',
    ]);
    expect(misspeltAnnotations({ cni: "canal", network: "lan" })).toEqual([]);
  });

  test("several keys, a line for each; others are passed over", () => {
    const long = `cni.io/networks${"x".repeat(200)}`;
    expect(
      misspeltAnnotations({
        "cni.io": "a",
        "app.kubernetes.io/name": "b",
        [long]: "c",
        CNI: "d",
      }),
    ).toEqual([
      'annotation "cni.io" is not read by genie: did you mean "cni"?',
      'annotation "CNI" is not read by genie: did you mean "cni"?',
    ]);
  });
});
