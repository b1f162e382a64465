/**
 * What we use of the kubelet's PodResources API, package `v1`: two calls, and of
 * their messages the fields that lead to a device. Everything else in an answer
 * (CPUs, memory, topology, dynamic resources) is skipped while decoding. Field
 * numbers are Kubernetes' k8s.io/kubelet/pkg/apis/podresources/v1/api.proto.
 */
import { create, createFileRegistry, type Message } from "@bufbuild/protobuf";
import {
  type GenMessage,
  messageDesc,
  serviceDesc,
} from "@bufbuild/protobuf/codegenv2";
import {
  FieldDescriptorProto_Label as Label,
  FieldDescriptorProto_Type as Type,
  FileDescriptorProtoSchema,
} from "@bufbuild/protobuf/wkt";

export type GetRequest = Message<"v1.GetPodResourcesRequest"> & {
  podName: string;
  podNamespace: string;
};

export type GetResponse = Message<"v1.GetPodResourcesResponse"> & {
  podResources?: PodResources;
};

export type ListRequest = Message<"v1.ListPodResourcesRequest">;

export type ListResponse = Message<"v1.ListPodResourcesResponse"> & {
  podResources: PodResources[];
};

export type PodResources = Message<"v1.PodResources"> & {
  name: string;
  namespace: string;
  containers: ContainerResources[];
};

export type ContainerResources = Message<"v1.ContainerResources"> & {
  devices: ContainerDevices[];
};

/** One resource may have several of these: the kubelet makes one per device and NUMA node. */
export type ContainerDevices = Message<"v1.ContainerDevices"> & {
  resourceName: string;
  deviceIds: string[];
};

const messages = {
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
  ContainerResources: [repeated(message("devices", 2, "ContainerDevices"))],
  ContainerDevices: [text("resource_name", 1), repeated(text("device_ids", 2))],
};

const file = fileOf("podresources/v1/api.proto");

export const GetRequestSchema = describe<GetRequest>("GetPodResourcesRequest");
export const GetResponseSchema = describe<GetResponse>(
  "GetPodResourcesResponse",
);
export const ListRequestSchema = describe<ListRequest>(
  "ListPodResourcesRequest",
);
export const ListResponseSchema = describe<ListResponse>(
  "ListPodResourcesResponse",
);

/** The service; the kubelet serves it without authentication, root alone reaches its socket. */
export const PodResourcesLister = serviceDesc<{
  get: {
    methodKind: "unary";
    input: typeof GetRequestSchema;
    output: typeof GetResponseSchema;
  };
  list: {
    methodKind: "unary";
    input: typeof ListRequestSchema;
    output: typeof ListResponseSchema;
  };
}>(file, 0);

interface Field {
  name: string;
  number: number;
  label: Label;
  type: Type;
  typeName?: string;
}

function text(name: string, number: number): Field {
  return { name, number, label: Label.OPTIONAL, type: Type.STRING };
}

function message(name: string, number: number, type: string): Field {
  return {
    name,
    number,
    label: Label.OPTIONAL,
    type: Type.MESSAGE,
    typeName: `.v1.${type}`,
  };
}

function repeated(field: Field): Field {
  return { ...field, label: Label.REPEATED };
}

function describe<Shape extends Message>(
  name: keyof typeof messages,
): GenMessage<Shape> {
  return messageDesc<Shape>(file, Object.keys(messages).indexOf(name));
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
      { name: "PodResourcesLister", method: [method("Get"), method("List")] },
    ],
  });
  const found = createFileRegistry(descriptor, () => undefined).getFile(name);
  if (!found) throw new Error(`failed to describe ${name}`);
  return found;
}

function method(name: "Get" | "List") {
  return {
    name,
    inputType: `.v1.${name}PodResourcesRequest`,
    outputType: `.v1.${name}PodResourcesResponse`,
  };
}
