/**
 * The definition of NetworkAttachmentDefinitions: NPWG v1.3 §3.1; equal to that of
 * other implementations, so either may be applied first.
 */
export const definitionGroup = "k8s.cni.cncf.io";
export const definitionResource = "network-attachment-definitions";

export const networkAttachmentDefinition = customResource(
  definitionGroup,
  {
    plural: definitionResource,
    singular: "network-attachment-definition",
    kind: "NetworkAttachmentDefinition",
    shortNames: ["net-attach-def", "nad"],
  },
  {
    description:
      "NetworkAttachmentDefinition is a CRD schema specified by the Network Plumbing Working Group to express the intent for attaching pods to one or more logical or physical networks.",
    type: "object",
    properties: {
      apiVersion: { type: "string" },
      kind: { type: "string" },
      metadata: { type: "object" },
      spec: {
        description:
          "NetworkAttachmentDefinition spec defines the desired state of a network attachment",
        type: "object",
        properties: {
          config: {
            description:
              "NetworkAttachmentDefinition config is a JSON-formatted CNI configuration",
            type: "string",
          },
        },
      },
    },
  },
);

/** The definition of a namespaced kind, version v1. */
export function customResource(
  group: string,
  names: {
    plural: string;
    singular: string;
    kind: string;
    shortNames?: string[];
  },
  openAPIV3Schema: object,
  annotations?: Readonly<Record<string, string>>,
): object {
  return {
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: {
      name: `${names.plural}.${group}`,
      ...(annotations && { annotations }),
    },
    spec: {
      group,
      scope: "Namespaced",
      names,
      versions: [
        {
          name: "v1",
          served: true,
          storage: true,
          schema: { openAPIV3Schema },
        },
      ],
    },
  };
}
