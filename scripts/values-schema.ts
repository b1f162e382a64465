/**
 * values.schema.json of the chart: helm refuses a misspelt value or key, and a value
 * that `genie manifest` or the nodes would refuse.
 */
import { addressPattern } from "../lib/agent/parts.ts";
import { takesPath } from "../lib/cli/command/options.ts";
import { settableKeys } from "../lib/cli/install/settings.ts";
import { imagePattern, nodePath } from "../lib/cli/manifest.ts";
import { isObject } from "../lib/cni/json.ts";
import {
  type Form,
  type Forms,
  configForms,
} from "../lib/select/config-keys.ts";
import { type Value, values } from "./chart.ts";

export function valuesSchema(): object {
  return {
    $schema: "http://json-schema.org/draft-07/schema#",
    type: "object",
    additionalProperties: false,
    // `cache:` without a value would turn it off.
    required: values.flatMap((value) =>
      value.default === true ? [value.name] : [],
    ),
    properties: {
      // Helm's own, where the chart is a dependency.
      global: { type: "object" },
      image: textOf(imagePattern.source),
      config: objectOf(settableForms()),
      ...Object.fromEntries(
        values.map((value) => [value.name, schemaOfValue(value)]),
      ),
    },
  };
}

function schemaOfValue({ name, default: byDefault, spec }: Value): object {
  if (typeof byDefault === "boolean") return { type: "boolean" };
  // `--set metrics=9464` gives an integer.
  if (name === "metrics")
    return {
      type: ["string", "integer"],
      pattern: orEmpty(addressPattern.source),
      minimum: 1,
      maximum: 65_535,
    };
  return takesPath(spec) ? textOf(nodePath) : { type: "string" };
}

function textOf(pattern: string): object {
  return { type: "string", pattern: orEmpty(pattern) };
}

/** The value "" is one that is not set. */
function orEmpty(pattern: string): string {
  return `^$|${pattern}`;
}

/** The keys of the ConfigMap: `policy` with its keys, and each of them alone, `policy.type`. */
function settableForms(): Forms {
  const forms = Object.entries<Form>(configForms);
  const alone = forms.flatMap(([key, form]) =>
    isObject(form)
      ? Object.entries(form).map(
          ([inner, one]) => [`${key}.${inner}`, one] as const,
        )
      : [],
  );
  return Object.fromEntries(
    [...forms, ...alone].filter(([key]) => settableKeys.includes(key)),
  );
}

/** `null` removes a key from the nodes. */
function objectOf(forms: Forms): object {
  return {
    type: ["object", "null"],
    additionalProperties: false,
    properties: Object.fromEntries(
      Object.entries(forms).map(([key, form]) => [key, schemaOfForm(form)]),
    ),
  };
}

function schemaOfForm(form: Form): object {
  if (typeof form === "string") return schemas[form];
  return isObject(form) ? objectOf(form) : { enum: [...form, null] };
}

const text = { type: ["string", "null"] };
const number = { type: ["number", "null"] };
const texts = { items: { type: "string" } };

/** The nodes check the rest of a form. */
const schemas: Record<Extract<Form, string>, object> = {
  anything: {},
  object: { type: ["object", "null"] },
  flag: { type: ["boolean", "null"] },
  text,
  name: { ...text, minLength: 1 },
  texts: { type: ["array", "null"], ...texts },
  paths: { type: ["string", "array", "null"], ...texts },
  path: { ...text, pattern: "^/" },
  "path or none": { ...text, pattern: orEmpty("^/") },
  level: text,
  "directory name": { ...text, minLength: 1 },
  seconds: { ...number, exclusiveMinimum: 0, maximum: 86_400 },
  "seconds or 0": { ...number, minimum: 0 },
};
