/**
 * The Helm chart of `genie manifest`: every switch becomes a value. The templates are
 * merged from the command's own objects, with each switch, each pair of them, and these
 * with each credential, so they cannot drift from it.
 */
import { isObject, own } from "../lib/cni/json.ts";
import { manifest, manifestObjects } from "../lib/cli/manifest.ts";
import { type Option, takesPath } from "../lib/cli/command/options.ts";
import { UsageError, readInput } from "../lib/cli/command/input.ts";
import {
  type Combination,
  type Placeholder,
  type Switch,
  Template,
  enclose,
  templateOf,
  union,
} from "./conditional-yaml.ts";

/** The value of a switch that has one, in the place of which the template has the user's. */
export interface Value extends Switch {
  /** Name in values.yaml. */
  name: string;
  about: string;
  default: boolean | string;
  /** The option of the command. */
  option: string;
  spec: Option;
}

/** Without a value of their own: the release has them, or a value of another form. */
const others = new Set([
  "image",
  "namespace",
  "set",
  "kubeconfig",
  "uninstall",
]);

const image = "image.invalid/genie:0";
const namespace = "release-namespace";

/** Accepted by every option that has a value; a path where it must be one. */
export const sampleOf = ({ option, spec }: Value): string =>
  takesPath(spec) ? `/value-${option}` : (samples[option] ?? `value-${option}`);

const metrics = { host: "127.99.99.99", port: "9999" };

/** For options that accept values of a certain form only. */
const samples: Readonly<Record<string, string>> = {
  metrics: `${metrics.host}:${metrics.port}`,
};

/** One for every switch of `genie manifest`, in its order. */
export const values: readonly Value[] = Object.entries(
  manifest.options,
).flatMap(([option, spec]) => {
  const isOpposite = `no-${option}` in manifest.options;
  if (others.has(option) || isOpposite) return [];
  const positive = option.replace(/^no-/, "");
  const name = positive.replaceAll(/-(\w)/g, (_, letter: string) =>
    letter.toUpperCase(),
  );
  const isOn = positive === option;
  const about = manifest.options[positive]?.about ?? spec.about;
  return [
    {
      name,
      about,
      expression: isOn ? `.Values.${name}` : `(not .Values.${name})`,
      default: spec.value === undefined ? !isOn : "",
      option,
      spec,
    },
  ];
});

const modes = values.filter(({ option }) =>
  ["node-credentials", "service-account"].includes(option),
);

/** The arguments of the command while the switch is on. */
export function wordOf({ option, spec }: Value, value: string): string {
  return spec.value === undefined ? `--${option}` : `--${option}=${value}`;
}

/** Templates by file name. */
export function templates(): Record<string, string> {
  const rendered = new Map<Combination, Map<string, object>>();
  const refusals: string[] = [];
  for (const [i, a] of values.entries()) {
    render([a]);
    for (const [j, b] of values.entries()) {
      if (j <= i) continue;
      render([a, b]);
      // Whose credential it is decides which rights a part needs.
      for (const mode of modes)
        if (mode !== a && mode !== b) render([mode, a, b]);
    }
  }
  render([]);

  function render(on: readonly Value[]): void {
    const words = on.map((one) => wordOf(one, sampleOf(one)));
    const objects = objectsOf(words);
    if (!(objects instanceof UsageError)) rendered.set(new Set(on), objects);
    // The refusals of a pair are in every larger combination.
    else if (on.length === 2) refusals.push(refusalOf(on, objects));
  }

  const all = new Set(rendered.keys());
  const names = union(
    [...rendered.values()].map((objects) => [...objects.keys()]),
  );
  const files = Object.fromEntries(
    names.map((name) => {
      const variants = new Map<Combination, object>();
      for (const [combination, objects] of rendered) {
        const object = objects.get(name);
        if (object) variants.set(combination, object);
      }
      const text = templateOf(variants, placeholders);
      const present = new Set(variants.keys());
      const lines = enclose(text.trimEnd().split("\n"), present, all);
      return [`${name}.yaml`, `${lines.join("\n")}\n`];
    }),
  );
  return { ...files, "refusals.yaml": [...refusals, ...ofConfig].join("") };
}

/** Keys of `config` that the DaemonSet must know. */
const ofConfig = [
  '{{- if and .Values.default (hasKey (.Values.config | default dict) "default_plugin") }}\n{{- fail "default and config.default_plugin exclude each other" }}\n{{- end }}\n',
  '{{- if hasKey (.Values.config | default dict) "dataDir" }}\n{{- fail "config.dataDir: set dataDir, which the DaemonSet mounts" }}\n{{- end }}\n',
];

/** The refusal of values that exclude each other. */
function refusalOf(on: readonly Value[], { message }: UsageError): string {
  const condition = on.map(({ expression }) => expression).join(" ");
  return `{{- if and ${condition} }}\n{{- fail ${JSON.stringify(message)} }}\n{{- end }}\n`;
}

const placeholders: readonly Placeholder[] = [
  {
    text: image,
    expression:
      'required "image: name the image that you built and pushed" .Values.image',
  },
  { text: namespace, expression: ".Release.Namespace" },
  ...values.flatMap((value) =>
    value.spec.value === undefined
      ? []
      : [{ text: sampleOf(value), expression: `.Values.${value.name}` }],
  ),
];

/** By the names of their files; the error of switches that exclude each other. */
function objectsOf(words: readonly string[]): Map<string, object> | UsageError {
  const always = [`--image=${image}`, `--namespace=${namespace}`];
  let objects: object[];
  try {
    objects = manifestObjects(readInput(manifest, [...always, ...words]));
  } catch (error) {
    if (error instanceof UsageError && words.length > 1) return error;
    throw error;
  }
  return new Map(
    objects.map((object) => {
      const kind = String(own(object, "kind"));
      const name = String(own(own(object, "metadata"), "name"));
      const file = `${kind.toLowerCase()}-${name}`;
      return [file, withTemplates(object, kind)];
    }),
  );
}

/** A ConfigMap with any keys, a DaemonSet with the parts of an address. */
function withTemplates(object: object, kind: string): object {
  if (kind === "ConfigMap") return { ...object, data: settings };
  if (kind !== "DaemonSet") return object;
  const replaced: unknown = JSON.parse(JSON.stringify(object), (key, value) =>
    key === "ports" || key === "httpGet" ? addressTemplate(value) : value,
  );
  return isObject(replaced) ? replaced : {};
}

/** Host and port of `--metrics`, where the DaemonSet has one alone. */
function addressTemplate(value: unknown): Template {
  const text = Bun.YAML.stringify(value, null, 2)
    .replace(
      metrics.host,
      '{{ .Values.metrics | toString | regexFind "^.*:" | trimSuffix ":" | trimAll "[]" | default "127.0.0.1" | quote }}',
    )
    .replace(
      metrics.port,
      '{{ .Values.metrics | toString | regexFind "[0-9]+$" }}',
    );
  return new Template(text.split("\n"));
}

/** `--set`: any number of keys. */
const settings = new Template([
  "{{- range $key, $value := .Values.config }}",
  "{{ $key }}: {{ $value | toJson | quote }}",
  "{{- else }}",
  "{}",
  "{{- end }}",
]);
