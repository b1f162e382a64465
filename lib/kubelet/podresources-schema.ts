/**
 * The used part of the kubelet's PodResources API, package `v1`: three calls, and the
 * fields of their messages that lead to a device. Decoding skips all others. Field
 * numbers are those of Kubernetes'
 * k8s.io/kubelet/pkg/apis/podresources/v1/api.proto.
 */
import { create, createFileRegistry, type Message } from "@bufbuild/protobuf";
import { type GenMessage, serviceDesc } from "@bufbuild/protobuf/codegenv2";
import {
  FieldDescriptorProto_Label as Label,
  FieldDescriptorProto_Type as Type,
  FileDescriptorProtoSchema,
} from "@bufbuild/protobuf/wkt";

type Typed<Name extends string, Fields> = Message<`v1.${Name}`> & Fields;

export type PodResources = Typed<
  "PodResources",
  { name: string; namespace: string; containers: ContainerResources[] }
>;

type ContainerResources = Typed<
  "ContainerResources",
  { devices: ContainerDevices[]; dynamicResources: DynamicResource[] }
>;

/** A resource can occur several times: the kubelet makes one entry per device and NUMA node. */
type ContainerDevices = Typed<
  "ContainerDevices",
  { resourceName: string; deviceIds: string[] }
>;

/** A claim whose devices the container gets (Dynamic Resource Allocation). */
type DynamicResource = Typed<
  "DynamicResource",
  {
    claimName: string;
    claimNamespace: string;
    claimResources: ClaimResource[];
  }
>;

/** Before Kubernetes 1.34 all but `cdiDevices` is empty. */
type ClaimResource = Typed<
  "ClaimResource",
  {
    cdiDevices: CdiDevice[];
    driverName: string;
    poolName: string;
    deviceName: string;
    shareId: string;
  }
>;

type CdiDevice = Typed<"CDIDevice", { name: string }>;

type GetRequest = Typed<
  "GetPodResourcesRequest",
  { podName: string; podNamespace: string }
>;
type GetResponse = Typed<
  "GetPodResourcesResponse",
  { podResources?: PodResources }
>;
type ListRequest = Typed<"ListPodResourcesRequest", unknown>;
type ListResponse = Typed<
  "ListPodResourcesResponse",
  { podResources: PodResources[] }
>;

type AllocatableRequest = Typed<"AllocatableResourcesRequest", unknown>;
type AllocatableResponse = Typed<
  "AllocatableResourcesResponse",
  { devices: ContainerDevices[] }
>;

const messages = {
  AllocatableResourcesRequest: [],
  AllocatableResourcesResponse: [
    repeated(message("devices", 1, "ContainerDevices")),
  ],
  GetPodResourcesRequest: [text("pod_name", 1), text("pod_namespace", 2)],
  GetPodResourcesResponse: [message("pod_resources", 1, "PodResources")],
  ListPodResourcesRequest: [],
  ListPodResourcesResponse: [
    repeated(message("pod_resources", 1, "PodResources")),
  ],
  PodResources: [
    text("name", 1),
    text("namespace", 2),
    repeated(message("containers", 3, "ContainerResources")),
  ],
  ContainerResources: [
    repeated(message("devices", 2, "ContainerDevices")),
    repeated(message("dynamic_resources", 5, "DynamicResource")),
  ],
  ContainerDevices: [text("resource_name", 1), repeated(text("device_ids", 2))],
  DynamicResource: [
    text("claim_name", 2),
    text("claim_namespace", 3),
    repeated(message("claim_resources", 4, "ClaimResource")),
  ],
  ClaimResource: [
    repeated(message("cdi_devices", 1, "CDIDevice")),
    text("driver_name", 2),
    text("pool_name", 3),
    text("device_name", 4),
    text("share_id", 5),
  ],
  CDIDevice: [text("name", 1)],
};

/** Method → the beginning of the names of its messages. */
const methods = {
  Get: "GetPodResources",
  List: "ListPodResources",
  GetAllocatableResources: "AllocatableResources",
};

/** The kubelet serves it without authentication: only root can open its socket. */
export const PodResourcesLister = serviceDesc<{
  get: {
    methodKind: "unary";
    input: GenMessage<GetRequest>;
    output: GenMessage<GetResponse>;
  };
  list: {
    methodKind: "unary";
    input: GenMessage<ListRequest>;
    output: GenMessage<ListResponse>;
  };
  getAllocatableResources: {
    methodKind: "unary";
    input: GenMessage<AllocatableRequest>;
    output: GenMessage<AllocatableResponse>;
  };
}>(fileOf("podresources/v1/api.proto"), 0);

function text(name: string, number: number) {
  return { name, number, label: Label.OPTIONAL, type: Type.STRING };
}

function message(name: string, number: number, type: string) {
  const typeName = `.v1.${type}`;
  return { name, number, label: Label.OPTIONAL, type: Type.MESSAGE, typeName };
}

function repeated<Field>(field: Field) {
  return { ...field, label: Label.REPEATED };
}

function fileOf(name: string) {
  const descriptor = create(FileDescriptorProtoSchema, {
    name,
    package: "v1",
    syntax: "proto3",
    messageType: Object.entries(messages).map(([type, field]) => ({
      name: type,
      field,
    })),
    service: [
      {
        name: "PodResourcesLister",
        method: Object.entries(methods).map(([method, type]) => ({
          name: method,
          inputType: `.v1.${type}Request`,
          outputType: `.v1.${type}Response`,
        })),
      },
    ],
  });
  const file = createFileRegistry(descriptor, () => undefined).getFile(name);
  if (!file) throw new Error(`failed to describe ${name}`);
  return file;
}
