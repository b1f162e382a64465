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

/** Message → its fields. The names of fields are ours: the wire has their numbers. */
const messages = {
  AllocatableResourcesRequest: {},
  AllocatableResourcesResponse: { devices: list("ContainerDevices", 1) },
  GetPodResourcesRequest: { podName: text(1), podNamespace: text(2) },
  GetPodResourcesResponse: { podResources: one("PodResources", 1) },
  ListPodResourcesRequest: {},
  ListPodResourcesResponse: { podResources: list("PodResources", 1) },
  PodResources: {
    name: text(1),
    namespace: text(2),
    containers: list("ContainerResources", 3),
  },
  ContainerResources: {
    devices: list("ContainerDevices", 2),
    dynamicResources: list("DynamicResource", 5),
  },
  /** A resource can occur several times: the kubelet makes one entry per device and NUMA node. */
  ContainerDevices: { resourceName: text(1), deviceIds: texts(2) },
  /** A claim whose devices the container gets (Dynamic Resource Allocation). */
  DynamicResource: {
    claimName: text(2),
    claimNamespace: text(3),
    claimResources: list("ClaimResource", 4),
  },
  /** Before Kubernetes 1.34 all but `cdiDevices` is empty. */
  ClaimResource: {
    cdiDevices: list("CDIDevice", 1),
    driverName: text(2),
    poolName: text(3),
    deviceName: text(4),
    shareId: text(5),
  },
  CDIDevice: { name: text(1) },
};

type Messages = typeof messages;
type Name = keyof Messages;

/** A decoded message; undefined for one message that the kubelet did not send. */
type Typed<N extends Name> = Message<`v1.${N}`> & {
  [Field in keyof Messages[N]]: Value<Messages[N][Field]>;
};

type Value<Field> = Field extends { label: Label.REPEATED }
  ? Single<Field>[]
  : Field extends { typeName: string }
    ? Single<Field> | undefined
    : Single<Field>;

type Single<Field> = Field extends { typeName: `.v1.${infer N extends Name}` }
  ? Typed<N>
  : string;

export type PodResources = Typed<"PodResources">;

/** Method → the beginning of the names of its messages. */
const methods = {
  Get: "GetPodResources",
  List: "ListPodResources",
  GetAllocatableResources: "AllocatableResources",
} as const;

type Methods = typeof methods;

/** The kubelet serves it without authentication: only root can open its socket. */
export const PodResourcesLister = serviceDesc<{
  [Method in keyof Methods as Uncapitalize<Method>]: {
    methodKind: "unary";
    input: GenMessage<Typed<`${Methods[Method]}Request`>>;
    output: GenMessage<Typed<`${Methods[Method]}Response`>>;
  };
}>(fileOf("podresources/v1/api.proto"), 0);

function text(number: number) {
  return { number, label: Label.OPTIONAL, type: Type.STRING } as const;
}

function texts(number: number) {
  return { ...text(number), label: Label.REPEATED } as const;
}

function one<N extends string>(message: N, number: number) {
  const typeName = `.v1.${message}` as const;
  const label = Label.OPTIONAL as const;
  return { number, label, type: Type.MESSAGE, typeName };
}

function list<N extends string>(message: N, number: number) {
  return { ...one(message, number), label: Label.REPEATED } as const;
}

function fileOf(name: string) {
  const descriptor = create(FileDescriptorProtoSchema, {
    name,
    package: "v1",
    syntax: "proto3",
    messageType: Object.entries(messages).map(([type, fields]) => ({
      name: type,
      field: Object.entries<object>(fields).map(([key, field]) => ({
        name: key,
        ...field,
      })),
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
