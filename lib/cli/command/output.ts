/** Output and options of commands as kubectl has them. */
import { type Input, type Options, UsageError } from "./command.ts";

/** Of commands that show the pods of a node. */
export const namespaceOptions = {
  namespace: {
    value: "NS",
    short: "n",
    about: "only pods of this namespace",
  },
  "all-namespaces": { short: "A", about: "pods of all namespaces (default)" },
} as const satisfies Options;

/** By {@link namespaceOptions}; undefined for all. Throws UsageError. */
export function wantedNamespace(input: Input): string | undefined {
  const namespace = input.text("namespace");
  if (namespace !== undefined && input.flag("all-namespaces"))
    throw new UsageError("--namespace and --all-namespaces exclude each other");
  return namespace;
}

/** `-o json` and `-o yaml` of commands, as kubectl prints them. */
export const structuredFormats = ["json", "yaml"] as const;

/** The value in one of {@link structuredFormats}; undefined for another one. */
export function structured(
  value: unknown,
  format: string | undefined,
): string | undefined {
  const json = JSON.stringify(value, null, 2);
  if (format === "json") return `${json}\n`;
  // Without anchors: objects that share a part repeat it.
  const plain: unknown = JSON.parse(json);
  return format === "yaml"
    ? `${Bun.YAML.stringify(plain, null, 2)}\n`
    : undefined;
}
