/**
 * The wording of errors in our network configuration, by the forms of config-keys.ts.
 * Loaded for a configuration that the plain checks do not recognise.
 */
import * as v from "valibot";
import { invalidConfig } from "../cni/error.ts";
import { type JsonObject, isObject } from "../cni/json.ts";
import { jsonObject, number, object, problemsIn, text } from "../cni/schema.ts";
import {
  type ConfigKeys,
  type Form,
  type Forms,
  cleanupForms,
  configForms,
  hasForm,
} from "./config-keys.ts";
import { joined } from "./problem-list.ts";

const directory = textForm("path or none", 'an absolute path or ""');

const schemas = {
  anything: v.unknown(),
  object: jsonObject,
  flag: v.boolean(),
  text: v.string(),
  name: textForm("name", "a non-empty string"),
  texts: v.array(v.string(), "an array of strings"),
  paths: v.union(
    [directory, v.array(directory)],
    "an absolute path or an array of them",
  ),
  path: textForm("path", "an absolute path"),
  "path or none": textForm("path or none", 'an absolute path or ""'),
  // CNI-Genie's samples spell levels in several ways: `warning`, `Debug`.
  level: text(
    (value) => /^(?:$|error|warn|info|debug)/i.test(value),
    '"error", "warn", "info" or "debug"',
  ),
  "directory name": textForm(
    "directory name",
    "the name of a directory: letters, digits, and . _ - after the first",
  ),
  seconds: numberForm("seconds", "a number above 0, at most 86400"),
  "seconds or 0": numberForm("seconds or 0", "a number of at least 0"),
};

function textForm(form: Form, expected: string) {
  return text((value) => hasForm(value, form), expected);
}

function numberForm(form: Form, expected: string) {
  return number((value) => hasForm(value, form), expected);
}

function schemaOf(form: Form): v.GenericSchema {
  if (typeof form === "string") return v.nullish(schemas[form]);
  return v.nullish(isGroup(form) ? object(entriesOf(form)) : v.picklist(form));
}

function entriesOf(forms: Forms) {
  return Object.fromEntries(
    Object.entries(forms).map(([key, form]) => [key, schemaOf(form)]),
  );
}

function isGroup(form: Form | undefined): form is Forms {
  return isObject(form);
}

const entries = entriesOf(configForms);
const schema = object(entries);

/** Every known key of genie, CNI and CNI-Genie; keys of objects as `policy.type`. */
export const configKeys = keysIn(configForms);

/** The keys, and `<key>.<inner key>` of objects whose keys are known. */
function keysIn(config: JsonObject): string[] {
  const forms: Forms = configForms;
  return Object.entries(config).flatMap(([key, value]) => {
    const isKnown = Object.hasOwn(forms, key) && isGroup(forms[key]);
    const inner = isKnown && isObject(value) ? Object.keys(value) : [];
    return [key, ...inner.map((one) => `${key}.${one}`)];
  });
}

const wording = { secret: ["kubernetes", "policy"] };

/** Throws 7 naming every wrong key. */
export function requireConfig(config: unknown): ConfigKeys {
  if (isConfig(config)) return config;
  const problems = joined(problemsIn(schema, config, wording));
  throw invalidConfig(`invalid configuration: ${problems}`);
}

function isConfig(config: unknown): config is ConfigKeys {
  return v.is(schema, config);
}

/**
 * The configuration without wrong keys; `warn` gets the problem of each one that
 * DEL, CHECK and GC use.
 */
export function usableConfig(
  config: unknown,
  warn: (problem: string) => void,
): ConfigKeys {
  const usable = isObject(config) ? { ...config } : {};
  for (const [key, value] of Object.entries(entries)) {
    const [problem] = problemsIn(object({ [key]: value }), usable);
    if (problem === undefined) continue;
    delete usable[key];
    if (Object.hasOwn(cleanupForms, key))
      warn(`invalid configuration, the default is used: ${problem}`);
  }
  return requireConfig(usable);
}

/** The warning of a configuration with `automatic` and without its networks. */
export const emptyAutomatic =
  '"automatic" has no effect without "automatic.networks": a pod with a blank "cni" gets the default network';

/** The paths of unknown keys. `cni.dev/…` is CNI's. */
export function unknownConfigKeys(config: JsonObject): string[] {
  return keysIn(config).filter(
    (key) => !key.startsWith("cni.dev/") && !configKeys.includes(key),
  );
}
