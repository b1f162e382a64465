/**
 * Writes deploy/: a kustomize base and a Helm chart, both of the objects of `genie
 * manifest`. tests/deploy.test.ts compares what is committed with {@link deployFiles}.
 */
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { description, license, version } from "../package.json";
import { readInput } from "../lib/cli/command/input.ts";
import { manifest, manifestObjects } from "../lib/cli/manifest.ts";
import { yamlOf } from "../lib/cli/command/output.ts";
import { templates, values } from "./chart.ts";
import { valuesSchema } from "./values-schema.ts";

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
    "helm/genie/values.schema.json": `${JSON.stringify(valuesSchema(), null, 2)}\n`,
    ...files,
  };
}

const fixed = {
  image: {
    about: "required: the image that you built (`make image`) and pushed",
    default: "",
  },
  config: {
    about:
      "keys of genie's configuration for every node, for instance strict: true",
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

if (import.meta.main) {
  rmSync(deploy, { recursive: true, force: true });
  for (const [path, text] of Object.entries(deployFiles())) {
    mkdirSync(dirname(join(deploy, path)), { recursive: true });
    writeFileSync(join(deploy, path), text);
  }
}
