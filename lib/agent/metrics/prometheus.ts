/**
 * Counters, gauges and histograms, and their text in Prometheus' exposition format
 * 0.0.4. Written here because prom-client costs the agent 12 MiB and 2.9 MB of the
 * executable (docs/decisions/metrics.md). The values are plain data, so that they
 * outlive a restart of the agent.
 */

export interface Family {
  name: string;
  help: string;
  type: "counter" | "gauge" | "histogram";
  labels: readonly string[];
}

/**
 * Label values in the order of the family's labels, as JSON → a number, or of a histogram
 * the counts of its buckets and the sum.
 */
type Samples = Record<string, number[]>;

/** Family name → its samples. */
export type Values = Record<string, Samples>;

/** Upper bounds in seconds: a call takes milliseconds, and DEL has up to 50 s. */
export const buckets = [
  0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120,
] as const;

export class Metrics {
  readonly values: Values;

  /** Begins with these values, which it changes. */
  constructor(values: Values = {}) {
    this.values = values;
  }

  /** Adds to a counter or a gauge. */
  add(family: Family, labels: readonly string[], by = 1): void {
    const numbers = this.#numbers(family, labels, 1);
    numbers[0] = (numbers[0] ?? 0) + by;
  }

  set(family: Family, labels: readonly string[], to: number): void {
    this.#numbers(family, labels, 1)[0] = to;
  }

  /** Adds a value to a histogram. */
  observe(family: Family, labels: readonly string[], seconds: number): void {
    const numbers = this.#numbers(family, labels, buckets.length + 2);
    const at = buckets.findIndex((bound) => seconds <= bound);
    const bucket = at < 0 ? buckets.length : at;
    numbers[bucket] = (numbers[bucket] ?? 0) + 1;
    const sum = buckets.length + 1;
    numbers[sum] = (numbers[sum] ?? 0) + seconds;
  }

  #numbers(
    { name }: Family,
    labels: readonly string[],
    length: number,
  ): number[] {
    const samples = (this.values[name] ??= {});
    return (samples[JSON.stringify(labels)] ??= Array<number>(length).fill(0));
  }

  /** The text of these families; one without samples has its head only. */
  text(families: readonly Family[]): string {
    return families
      .map((family) => textOf(family, this.values[family.name] ?? {}))
      .join("");
  }
}

/** Whether a file has them as this version writes them. Throws SyntaxError for labels that are no JSON. */
export function areSamples(
  { type, labels }: Family,
  samples: Readonly<Samples> = {},
): boolean {
  const length = type === "histogram" ? buckets.length + 2 : 1;
  return Object.entries(samples).every(([key, numbers]) => {
    const texts: unknown = JSON.parse(key);
    return (
      Array.isArray(texts) &&
      texts.length === labels.length &&
      texts.every((text) => typeof text === "string") &&
      numbers.length === length &&
      numbers.every((number) => number >= 0)
    );
  });
}

function textOf(family: Family, samples: Samples): string {
  const { name, help, type } = family;
  const lines = [`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`];
  for (const key of Object.keys(samples).toSorted()) {
    const labels = labelsOf(family, key);
    const numbers = samples[key] ?? [];
    if (type === "histogram") lines.push(...histogram(name, labels, numbers));
    else lines.push(`${name}${braced(labels)} ${numbers[0] ?? 0}`);
  }
  return `${lines.join("\n")}\n`;
}

function histogram(
  name: string,
  labels: readonly string[],
  numbers: readonly number[],
): string[] {
  let count = 0;
  const lines = [...buckets, "+Inf"].map((bound, i) => {
    count += numbers[i] ?? 0;
    return `${name}_bucket${braced([...labels, `le="${bound}"`])} ${count}`;
  });
  const sum = numbers[buckets.length + 1] ?? 0;
  return [
    ...lines,
    `${name}_sum${braced(labels)} ${sum}`,
    `${name}_count${braced(labels)} ${count}`,
  ];
}

/** `verb="ADD"` for each label. */
function labelsOf({ labels }: Family, key: string): string[] {
  const values: unknown = JSON.parse(key);
  const texts: unknown[] = Array.isArray(values) ? values : [];
  return labels.map((label, i) => `${label}="${escaped(String(texts[i]))}"`);
}

function escaped(value: string): string {
  return value
    .replaceAll("\\", "\\\\")
    .replaceAll("\n", "\\n")
    .replaceAll('"', '\\"');
}

function braced(labels: readonly string[]): string {
  return labels.length === 0 ? "" : `{${labels.join(",")}}`;
}
