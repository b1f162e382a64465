import { describe, expect, test } from "bun:test";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { PodResourcesLister } from "../../lib/kubelet/podresources-schema.ts";

const { get, list } = PodResourcesLister.method;

// Encoded by Go, k8s.io/kubelet v0.34.0, with every field of every message set.
const getRequest = "0a03776562120473686f70";
const response =
  "0aac010a03776562120473686f701a9e010a0361707012350a0f696e74656c2e636f6d2f7372696f76120c" +
  "303030303a30333a30322e30120c303030303a30333a30322e311a060a000a0208011a020203221b0a0d68" +
  "75676570616765732d324d691080808080041a040a0208012a3f12036770751a0473686f7022320a120a10" +
  "76656e646f722e636f6d2f6770753d30120e6770752e76656e646f722e636f6d1a056e6f64653122056770" +
  "752d30";

const pod = {
  $typeName: "v1.PodResources",
  name: "web",
  namespace: "shop",
  containers: [
    {
      $typeName: "v1.ContainerResources",
      devices: [
        {
          $typeName: "v1.ContainerDevices",
          resourceName: "intel.com/sriov",
          deviceIds: ["0000:03:02.0", "0000:03:02.1"],
        },
      ],
      dynamicResources: [
        {
          $typeName: "v1.DynamicResource",
          claimName: "gpu",
          claimNamespace: "shop",
          claimResources: [
            {
              $typeName: "v1.ClaimResource",
              cdiDevices: [
                { $typeName: "v1.CDIDevice", name: "vendor.com/gpu=0" },
              ],
              driverName: "gpu.vendor.com",
              poolName: "node1",
              deviceName: "gpu-0",
              shareId: "",
            },
          ],
        },
      ],
    },
  ],
};

const decode = { readUnknownFields: false };

describe("PodResources schema", () => {
  test("GetRequest, encoded as by Kubernetes", () => {
    const message = create(get.input, {
      podNamespace: "shop",
      podName: "web",
    });
    expect(Buffer.from(toBinary(get.input, message)).toString("hex")).toBe(
      getRequest,
    );
  });

  test("ListRequest, encoded as by Kubernetes: empty", () => {
    const message = create(list.input);
    expect(toBinary(list.input, message)).toEqual(new Uint8Array());
  });

  test("GetResponse, decoded from Kubernetes' bytes", () => {
    const bytes = Buffer.from(response, "hex");
    const message: object = fromBinary(get.output, bytes, decode);
    expect(message).toEqual({
      $typeName: "v1.GetPodResourcesResponse",
      podResources: pod,
    });
  });

  test("ListResponse, decoded from Kubernetes' bytes", () => {
    const bytes = Buffer.from(response + response, "hex");
    const message: object = fromBinary(list.output, bytes, decode);
    expect(message).toEqual({
      $typeName: "v1.ListPodResourcesResponse",
      podResources: [pod, pod],
    });
  });

  test("PodResourcesLister, names on the wire", () => {
    const { typeName, methods } = PodResourcesLister;
    expect([typeName, ...methods.map(({ name }) => name)]).toEqual([
      "v1.PodResourcesLister",
      "Get",
      "List",
      "GetAllocatableResources",
    ]);
  });
});
