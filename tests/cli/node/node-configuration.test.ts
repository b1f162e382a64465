/** The agent reads genie's configuration of the node again while it runs (docs/agent.md). */
import { expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { NodeConfiguration } from "../../../lib/cli/agent/node-configuration.ts";
import { Host } from "../../../lib/cli/node/host.ts";

/** A node's directory of networks, read at each call. */
function start(config: object | string | undefined, dataDir?: string) {
  const directory = mkdtempSync(join(tmpdir(), "genie-configuration-"));
  const confDir = join(directory, "net.d");
  const own = join(confDir, "00-genie.conflist");
  mkdirSync(confDir);
  const lines: string[] = [];
  const write = (keys: object | string) =>
    writeFileSync(
      own,
      typeof keys === "string"
        ? keys
        : JSON.stringify({
            cniVersion: "1.0.0",
            name: "cbr0",
            plugins: [{ type: "genie", confDir, ...keys }],
          }),
    );
  if (config !== undefined) write(config);
  const configuration = new NodeConfiguration(
    { host: new Host(), confDir, binDir: "/opt/cni/bin", dataDir },
    {},
    (level, message) => lines.push(`${level}: ${message}`),
    0,
  );
  return {
    configuration,
    lines,
    write,
    remove: () => rmSync(own),
    [Symbol.dispose]: () => rmSync(directory, { recursive: true }),
  };
}

const changed = "info: read the changed configuration of genie";

test("NodeConfiguration, an edited file is another context, an equal one is the same", () => {
  using node = start({ default_plugin: "canal" });
  const { configuration, lines } = node;
  const first = configuration.context();
  expect(first.config.defaultPlugin).toBe("canal");
  node.write({ default_plugin: "canal" });
  expect(configuration.context()).toBe(first);
  node.write({ default_plugin: "weave", log_level: "debug" });
  expect(configuration.context().config).toMatchObject({
    defaultPlugin: "weave",
    logLevel: "debug",
  });
  expect(lines).toEqual([changed]);
});

test.each(["{", '{"name":"x","plugins":[]}', undefined])(
  "NodeConfiguration, a file that becomes %p changes nothing",
  (text) => {
    using node = start({ default_plugin: "canal" });
    const { configuration, lines } = node;
    const first = configuration.context();
    if (text === undefined) node.remove();
    else node.write(text);
    expect(configuration.context()).toBe(first);
    node.write({ default_plugin: "weave" });
    expect(configuration.context().config.defaultPlugin).toBe("weave");
    expect(lines).toEqual([changed]);
  },
);

test.each(["{", undefined])(
  "NodeConfiguration, %p at the start: the defaults, then the file",
  (text) => {
    using node = start(text);
    const { configuration, lines } = node;
    const { config } = configuration.context();
    expect(config).toMatchObject({
      defaultPlugin: "",
      dataDir: "/var/lib/cni/genie",
    });
    node.write({ default_plugin: "weave" });
    expect(configuration.context().config.defaultPlugin).toBe("weave");
    expect(lines.at(-1)).toBe(changed);
  },
);

test("NodeConfiguration, another dataDir needs another agent: told once", () => {
  using node = start({ dataDir: "/a" });
  const { configuration, lines } = node;
  const first = configuration.context();
  node.write({ dataDir: "/b" });
  expect(configuration.context()).toBe(first);
  expect(configuration.context()).toBe(first);
  expect(lines).toEqual(["error: dataDir was changed: restart the agent"]);
});

test("NodeConfiguration, a wrong value is told once", () => {
  using node = start({}, "/data");
  const { configuration } = node;
  node.write({ deleteGiveUp: -1 });
  expect(configuration.context().config.deleteGiveUpMs).toBe(300_000);
  const second = configuration.context();
  expect(configuration.context()).toBe(second);
});
