/**
 * Writes deploy/: a kustomize base and a Helm chart, both of the objects of `genie
 * manifest`. tests/deploy.test.ts compares what is committed with {@link deployFiles}.
 */
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { description, license, version } from "../package.json";
import { isPath } from "../lib/cli/command/options.ts";
import { readInput } from "../lib/cli/command/input.ts";
import { manifest, manifestObjects, nodePath } from "../lib/cli/manifest.ts";
import { yamlOf } from "../lib/cli/command/output.ts";
import { settableKeys } from "../lib/cli/install/settings.ts";
import { templates, values } from "./chart.ts";

export const deploy = resolve(import.meta.dir, "../deploy");

/** The name that `make image` gives its image: no registry has it. */
export const image = `localhost/genie:${version}`;

/** Contents by path below {@link deploy}. */
export function deployFiles(): Record<string, string> {
  return { ...kustomize(), ...chart() };
}

function kustomize(): Record<string, string> {
  const objects = manifestObjects(readInput(manifest, [`--image=${image}`]));
  return {
    "kustomize/genie.yaml": generated + yamlOf(...objects),
    "kustomize/kustomization.yaml":
      generated +
      yamlOf({
        apiVersion: "kustomize.config.k8s.io/v1beta1",
        kind: "Kustomization",
        resources: ["genie.yaml"],
      }),
  };
}

const generated = "# Written by `make deploy` from `genie manifest`.\n";

function chart(): Record<string, string> {
  const files: Record<string, string> = {};
  for (const [name, text] of Object.entries(templates())) {
    // Helm installs these first, and never deletes them with the objects of others.
    const isDefinition = name.startsWith("customresourcedefinition-");
    const isAlways = !text.includes("{{");
    const directory = isDefinition && isAlways ? "crds" : "templates";
    files[`helm/genie/${directory}/${name}`] = generated + text;
  }
  return {
    "helm/genie/Chart.yaml":
      generated +
      yamlOf({
        apiVersion: "v2",
        name: "genie",
        description,
        type: "application",
        version,
        appVersion: version,
        // ValidatingAdmissionPolicy is v1.
        kubeVersion: ">=1.30.0-0",
        annotations: { "artifacthub.io/license": license },
      }),
    "helm/genie/values.yaml": generated + valuesFile(),
    "helm/genie/values.schema.json": `${JSON.stringify(schema(), null, 2)}\n`,
    ...files,
  };
}

const fixed = {
  image: {
    about: "required: the image that you built (`make image`) and pushed",
    type: "string",
    default: "",
  },
  config: {
    about:
      "keys of genie's configuration for every node, for instance strict: true",
    type: "object",
    default: {},
  },
} as const;

function valuesFile(): string {
  const rows = [
    ...Object.entries(fixed).map(([name, row]) => ({ name, ...row })),
    ...values,
  ];
  return rows
    .map(({ name, about, default: value }) => {
      return `# ${about}\n${name}: ${JSON.stringify(value)}\n`;
    })
    .join("\n");
}

/** A misspelt value is an error of helm. */
function schema(): object {
  // Helm's own, where the chart is a dependency.
  const properties: Record<string, object> = { global: { type: "object" } };
  properties["image"] = { type: fixed.image.type };
  properties["config"] = configSchema();
  for (const { name, default: value, spec } of values)
    properties[name] =
      typeof value === "boolean"
        ? { type: "boolean" }
        : isPath(spec)
          ? { type: "string", pattern: `^$|${nodePath}` }
          : // As `--set metrics=9464` gives it.
            { type: ["string", "integer"] };
  return {
    $schema: "http://json-schema.org/draft-07/schema#",
    type: "object",
    additionalProperties: false,
    properties,
  };
}

/** Keys alone, or in objects: `policy.type`, or `policy` with `type`. */
function configSchema(): object {
  const schemaOf = (keys: readonly string[], prefix: string): object => ({
    type: "object",
    additionalProperties: false,
    properties: Object.fromEntries(
      keys.map((key) => {
        const group = `${prefix}${key}.`;
        const inner = settableKeys
          .filter((other) => other.startsWith(group))
          .map((other) => other.slice(group.length));
        return [key, inner.length === 0 ? {} : schemaOf(inner, group)];
      }),
    ),
  });
  return schemaOf(settableKeys, "");
}

if (import.meta.main) {
  rmSync(deploy, { recursive: true, force: true });
  for (const [path, text] of Object.entries(deployFiles())) {
    mkdirSync(dirname(join(deploy, path)), { recursive: true });
    writeFileSync(join(deploy, path), text);
  }
}
