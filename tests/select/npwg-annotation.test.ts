/**
 * The grammar of `k8s.v1.cni.cncf.io/networks` in both forms (selection.md §6,
 * NPWG v1.3 §4.1).
 */
import { describe, expect, test } from "bun:test";
import { resolve } from "node:path";
import {
  type NetworkSelectionElement,
  parseElements,
} from "../../lib/select/npwg-annotation.ts";
import { parseAnyElements } from "../../lib/select/npwg-elements.ts";
import { errorOf } from "../support/cni-error.ts";

const source = 'annotation "k8s.v1.cni.cncf.io/networks"';

function elements(text: string): NetworkSelectionElement[] {
  return parseElements(source, text).elements;
}

const refusal = (text: string, strict = false) =>
  errorOf(() => parseElements(source, text, strict));

/** All ways to write a word in small and capital letters. */
function spellings(word: string): string[] {
  return word
    .split("")
    .reduce(
      (begun, letter) =>
        begun.flatMap((text) => [text + letter, text + letter.toUpperCase()]),
      [""],
    );
}

describe("parseElements, the short form", () => {
  const cases: [string, NetworkSelectionElement[]][] = [
    ["a", [{ name: "a" }]],
    ["a,b", [{ name: "a" }, { name: "b" }]],
    ["a,a", [{ name: "a" }, { name: "a" }]],
    ["shared/a", [{ name: "a", namespace: "shared" }]],
    ["a@san0", [{ name: "a", ifname: "san0" }]],
    [
      " shared / a @ san0 ,\n\tb ",
      [{ name: "a", namespace: "shared", ifname: "san0" }, { name: "b" }],
    ],
    ["a@", [{ name: "a" }]],
    ["team.a/net.1-x", [{ name: "net.1-x", namespace: "team.a" }]],
    ["0", [{ name: "0" }]],
    // No JSON: neither a brace, nor a bracket, nor a quote.
    ["null", [{ name: "null" }]],
    ["a".repeat(253), [{ name: "a".repeat(253) }]],
    ["constructor", [{ name: "constructor" }]],
  ];
  test.each(cases)("%j", (text, expected) => {
    const parsed = { elements: expected, warnings: [] };
    expect(parseElements(source, text)).toEqual(parsed);
    expect(parseAnyElements(source, text, false)).toEqual(parsed);
  });

  test("of plain names, loads no schema", () => {
    const script = `
      import { parseElements } from "./lib/select/npwg-annotation.ts";
      parseElements("", "a, shared/b@net1");
      const loaded = Object.keys(require.cache);
      console.log(loaded.filter((path) => path.includes("valibot")).length);`;
    const cwd = resolve(import.meta.dir, "../..");
    const child = Bun.spawnSync([process.execPath, "-e", script], { cwd });
    expect([child.stdout.toString(), child.stderr.toString()]).toEqual([
      "0\n",
      "",
    ]);
  });

  const expectedName = "expected a DNS-1123 subdomain, got ";
  const expectedIfname =
    "expected an interface name (1 to 15 bytes, not . or .., without /, : and white space), got ";
  const expectedForm = "expected [namespace/]name[@interface], got ";
  const empty = "empty element, perhaps a comma too many";
  test.each<[text: string, problems: string]>([
    [",", `element 1: ${empty}, element 2: ${empty}`],
    ["a,", `element 2: ${empty}`],
    ["a,,b", `element 2: ${empty}`],
    [
      "A,b@..",
      `element 1: name: ${expectedName}"A", element 2: interface: ${expectedIfname}".."`,
    ],
    ["@eth1", `element 1: name: ${expectedName}""`],
    [
      "/a@b/c",
      `element 1: namespace: ${expectedName}"", interface: ${expectedIfname}"b/c"`,
    ],
    ["/a", `element 1: namespace: ${expectedName}""`],
    ["shared/", `element 1: name: ${expectedName}""`],
    ["a/b/c", `element 1: ${expectedForm}"a/b/c"`],
    ["a@b@c", `element 1: ${expectedForm}"a@b@c"`],
    ["b,A", `element 2: name: ${expectedName}"A"`],
    ["a_b", `element 1: name: ${expectedName}"a_b"`],
    ["-a", `element 1: name: ${expectedName}"-a"`],
    ["a-", `element 1: name: ${expectedName}"a-"`],
    ["a..b", `element 1: name: ${expectedName}"a..b"`],
    ["a.", `element 1: name: ${expectedName}"a."`],
    ["..", `element 1: name: ${expectedName}".."`],
    ["ä", `element 1: name: ${expectedName}"ä"`],
    ["a b", `element 1: name: ${expectedName}"a b"`],
    ["a".repeat(254), `element 1: name: ${expectedName}"${"a".repeat(128)}…"`],
    ["Shared/a", `element 1: namespace: ${expectedName}"Shared"`],
    [
      "a@0123456789abcdef",
      `element 1: interface: ${expectedIfname}"0123456789abcdef"`,
    ],
    ["a@x y", `element 1: interface: ${expectedIfname}"x y"`],
    ["a@x:1", `element 1: interface: ${expectedIfname}"x:1"`],
    ["a\u0000", `element 1: name: ${expectedName}"a\\u0000"`],
  ])("%j is an error 7", (text, problems) => {
    expect(refusal(text)).toEqual({
      code: 7,
      message: `failed to parse ${source}: ${problems}`,
    });
  });
});

describe("parseElements, JSON", () => {
  const whole = {
    name: "storage",
    namespace: "shared",
    interface: "san0",
    ips: ["10.30.0.7/24", "10.30.0.8", "fd00::7/64", "fd00::8"],
    mac: "02:00:00:00:00:07",
    "infiniband-guid": "c2:11:22:33:44:55:66:77",
    portMappings: [
      { hostPort: 8080, containerPort: 80, protocol: "tcp" },
      {
        HostPort: 1,
        ContainerPort: 65535,
        Protocol: "SCTP",
        HostIP: "fd00::1",
      },
    ],
    bandwidth: {
      ingressRate: 2048,
      ingressBurst: 1600,
      egressRate: 0,
      egressBurst: 1600,
    },
    deviceID: "0000:03:02.0",
    "cni-args": { mode: "fast", depth: { a: [1] } },
    "default-route": ["10.30.0.1", "fd00::1"],
    interfaceRequest: null,
    "ipam-claim-reference": null,
    resourceName: null,
    resourceClaim: null,
  };
  const { interface: ifname, deviceID, ...rest } = whole;
  const mappings = [
    { hostPort: 8080, containerPort: 80 },
    { hostPort: 1, containerPort: 2, protocol: "", hostIP: null },
  ];
  const valueOf = (value: unknown, keys: readonly string[]) =>
    Object.fromEntries(keys.map((key) => [key, value]));
  const cases: [string, object, NetworkSelectionElement][] = [
    ["a name", { name: "a" }, { name: "a" }],
    [
      "every key",
      whole,
      {
        name: rest.name,
        namespace: rest.namespace,
        ifname,
        ips: rest.ips,
        mac: rest.mac,
        infinibandGuid: rest["infiniband-guid"],
        portMappings: rest.portMappings,
        bandwidth: rest.bandwidth,
        deviceId: deviceID,
        cniArgs: rest["cni-args"],
        defaultRoute: rest["default-route"],
      },
    ],
    [
      "interfaceRequest, Multus' older key",
      { name: "a", interfaceRequest: "san0" },
      { name: "a", ifname: "san0" },
    ],
    [
      "interface and interfaceRequest that agree",
      { name: "a", interface: "san0", interfaceRequest: "san0" },
      { name: "a", ifname: "san0" },
    ],
    [
      "interfaceRequest beside an empty interface",
      { name: "a", interface: "", interfaceRequest: "san1" },
      { name: "a", ifname: "san1" },
    ],
    [
      "empty values are absent",
      {
        ...valueOf("", ["namespace", "interface", "interfaceRequest", "mac"]),
        ...valueOf("", ["infiniband-guid", "deviceID", "ipam-claim-reference"]),
        ...valueOf([], ["ips", "portMappings", "default-route"]),
        name: "a",
      },
      { name: "a" },
    ],
    [
      "null values are absent",
      { ...valueOf(null, Object.keys(whole)), name: "a" },
      { name: "a" },
    ],
    [
      "MAC addresses in the notations of Go",
      { name: "a", mac: "02-00-00-00-00-0A" },
      { name: "a", mac: "02-00-00-00-00-0A" },
    ],
    [
      "port mappings with absent, null and empty values",
      { name: "a", portMappings: mappings },
      { name: "a", portMappings: mappings },
    ],
    [
      "as many addresses as CNI_ARGS can carry",
      { name: "a", ips: Array.from({ length: 32 }, (_, i) => `10.0.0.${i}`) },
      { name: "a", ips: Array.from({ length: 32 }, (_, i) => `10.0.0.${i}`) },
    ],
  ];
  test.each(cases)("%s, in a list and alone", (_, object, expected) => {
    const alone = JSON.stringify(object);
    const found = { elements: [expected], warnings: [] };
    expect(parseElements(source, `[${alone}]`)).toEqual(found);
    expect(parseElements(source, ` ${alone}\n`)).toEqual(found);
  });

  test("several, in their order", () => {
    const text = '[{"name":"b"},{"name":"a","namespace":"x"},{"name":"b"}]';
    expect(elements(text)).toEqual([
      { name: "b" },
      { name: "a", namespace: "x" },
      { name: "b" },
    ]);
  });

  test.each(["", " \n", "[]", " [ ] "])("%j is none", (text) => {
    expect(parseElements(source, text)).toEqual({ elements: [], warnings: [] });
  });

  test("values come out as they went in", () => {
    const text =
      '[{"name":"a","cni-args":{"big":12345678901234567890,"one":1.0}}]';
    expect(JSON.stringify(elements(text)[0]?.cniArgs)).toBe(
      '{"big":12345678901234567890,"one":1.0}',
    );
  });

  test.each<[object, object]>([
    [{ resourceName: "v.com/x" }, { resourceName: "v.com/x" }],
    [{ ResourceName: "", deviceid: "d" }, { deviceId: "d" }],
    [
      { resourceClaim: { claimName: "nic", requestName: "vf" } },
      { resourceClaim: { claimName: "nic", requestName: "vf" } },
    ],
    [
      { RESOURCECLAIM: { ClaimName: "nic", requestname: "" } },
      { resourceClaim: { claimName: "nic" } },
    ],
  ])("%j names the device", (keys, expected) => {
    const text = JSON.stringify({ name: "a", ...keys });
    expect(elements(text)).toEqual([{ name: "a", ...expected }]);
  });

  test("keys without effect, named for the log", () => {
    const text = JSON.stringify([{ name: "b", colour: 1, toString: 1 }]);
    expect(parseElements(source, text)).toEqual({
      elements: [{ name: "b" }],
      warnings: [
        `${source}: unknown keys are ignored: element 1: "colour", "toString"`,
      ],
    });
  });

  test("unknown keys of objects in an element", () => {
    const text = JSON.stringify([
      {
        name: "a",
        colour: 1,
        portMappings: [{ hostPort: 1, containerPort: 2, hostIp: "::1", x: 1 }],
        bandwidth: { ingresRate: 1 },
        resourceClaim: { claimName: "nic", request: "vf" },
      },
    ]);
    expect(parseElements(source, text).warnings).toEqual([
      `${source}: unknown keys are ignored: element 1: "colour", portMappings: "x", bandwidth: "ingresRate" (did you mean "ingressRate"?), resourceClaim: "request" (did you mean "requestName"?)`,
    ]);
    expect(refusal(text, true).code).toBe(7);
  });

  test("keys in any case, as Go programs read them", () => {
    const text =
      '{"NAME":"a","IPs":["10.0.0.1"],"Mac":"02:00:00:00:00:07","interfacerequest":"san0","CNI-Args":{"Keep":1},"bandwidth":{"INGRESSRATE":1},"Default-Route":["10.0.0.1"],"n\u0430me":"b"}';
    expect(parseElements(source, text)).toEqual({
      elements: [
        {
          name: "a",
          ips: ["10.0.0.1"],
          mac: "02:00:00:00:00:07",
          ifname: "san0",
          cniArgs: { Keep: 1 },
          bandwidth: { INGRESSRATE: 1 },
          defaultRoute: ["10.0.0.1"],
        },
      ],
      // With a Cyrillic letter it is another key.
      warnings: [
        `${source}: unknown keys are ignored: element 1: "n\u0430me" (did you mean "name"?)`,
      ],
    });
  });

  test("keys without effect are refused where the node is strict", () => {
    const text = JSON.stringify([
      { name: "a", ipz: 1, colour: 1 },
      { name: "b" },
      { name: "c", resourceClaim: { claimName: "nic" }, Interfaces: "x" },
    ]);
    expect(refusal(text, true)).toEqual({
      code: 7,
      message: `failed to parse ${source}: unknown keys: element 1: "ipz" (did you mean "ips"?), "colour", element 3: "Interfaces" (did you mean "interface"?)`,
    });
  });

  test("an IPAM claim is for the network's plugins, also where the node is strict", () => {
    const text =
      '[{"name":"a","ips":["10.0.0.7"],"ipam-claim-reference":"vm-a.lan"}]';
    for (const strict of [false, true])
      expect(parseElements(source, text, strict)).toEqual({
        elements: [{ name: "a", ips: ["10.0.0.7"] }],
        warnings: [],
      });
  });

  test("inherited names are data like any other", () => {
    const text =
      '[{"name":"a","__proto__":{"mac":"02:00:00:00:00:07"},"constructor":1}]';
    expect(elements(text)).toEqual([{ name: "a" }]);
    expect(refusal('[{"__proto__":{"name":"a"}}]')).toMatchObject({ code: 7 });
  });
});

/** Lists in lists. */
const nested = (levels: number) => `${"[".repeat(levels)}${"]".repeat(levels)}`;

describe("parseElements, JSON that is an error 7", () => {
  test.each<[text: string, problem: string]>([
    [
      '[{"name":"a"},]',
      "invalid character ']' looking for beginning of value at line 1, column 15",
    ],
    ['[{"name":"a"}', "unexpected end of JSON input at line 1, column 14"],
    ['"a"', 'element 1: expected an object, got "a"'],
    ['[{"name":"a"},null]', "element 2: expected an object, got null"],
    ["[[]]", "element 1: expected an object, got an array"],
    ["{}", "element 1: name: expected a DNS-1123 subdomain, got nothing"],
    [
      `{"name":"a","cni-args":{"x":${nested(99)}}}`,
      "nested deeper than 100 levels at line 1, column 128",
    ],
  ])("%s", (text, problem) => {
    expect(refusal(text)).toEqual({
      code: 7,
      message: `failed to parse ${source}: ${problem}`,
    });
  });

  const mapping = { hostPort: 80, containerPort: 80 };
  test.each<[keys: object, problem: string]>([
    [{ name: null }, "name: expected a DNS-1123 subdomain, got null"],
    [{ name: 7 }, "name: expected a DNS-1123 subdomain, got the number 7"],
    [{ name: "../a" }, 'name: expected a DNS-1123 subdomain, got "../a"'],
    [
      { name: "shared/a" },
      'name: expected a DNS-1123 subdomain, got "shared/a"',
    ],
    [{ Name: "c" }, 'Name: expected no second spelling of "name", got "c"'],
    [
      { ips: ["10.0.0.1"], IPs: null },
      'IPs: expected no second spelling of "ips", got null',
    ],
    [
      { portMappings: [{ ...mapping, HOSTPORT: 80 }] },
      'portMappings.0.HOSTPORT: expected no second spelling of "hostPort", got the number 80',
    ],
    [
      { bandwidth: { ingressRate: 1, ingreſſRate: 2 } },
      'bandwidth."ingreſſRate": expected no second spelling of "ingressRate", got the number 2',
    ],
    [{ namespace: "X" }, 'namespace: expected a DNS-1123 subdomain, got "X"'],
    [
      { interface: "a/b" },
      'interface: expected an interface name (1 to 15 bytes, not . or .., without /, : and white space), got "a/b"',
    ],
    [
      { interface: 1 },
      "interface: expected an interface name (1 to 15 bytes, not . or .., without /, : and white space), got the number 1",
    ],
    [
      { interfaceRequest: ".." },
      'interfaceRequest: expected an interface name (1 to 15 bytes, not . or .., without /, : and white space), got ".."',
    ],
    [
      { interface: "san0", InterfaceRequest: "san1" },
      'interfaceRequest: expected "san0" as in "interface", got "san1"',
    ],
    [{ ips: "10.0.0.1" }, 'ips: expected an array, got "10.0.0.1"'],
    [
      { ips: ["10.0.0.1", "x"] },
      'ips.1: expected an IP address or CIDR, got "x"',
    ],
    ...["10.0.0.1/33", "fd00::1/129", "010.0.0.1", "10.0.0.1;MAC=1", ""].map(
      (ip): [object, string] => [
        { ips: [ip] },
        `ips.0: expected an IP address or CIDR, got "${ip}"`,
      ],
    ),
    [
      { ips: Array.from({ length: 33 }, (_, i) => `10.0.0.${i}`) },
      "ips: expected at most 32 addresses, got 33",
    ],
    [{ ips: [null] }, "ips.0: expected an IP address or CIDR, got null"],
    ...["02:00:00:00:00", "c2:11:22:33:44:55:66:77", "02:00:00:00:00:0g"].map(
      (mac): [object, string] => [
        { mac },
        `mac: expected a MAC address, got "${mac}"`,
      ],
    ),
    [
      { "infiniband-guid": "02:00:00:00:00:07" },
      'infiniband-guid: expected a GUID of 8 bytes, got "02:00:00:00:00:07"',
    ],
    [{ portMappings: {} }, "portMappings: expected an array, got an object"],
    [{ portMappings: ["80"] }, 'portMappings.0: expected an object, got "80"'],
    [
      { portMappings: [{ containerPort: 80 }] },
      "portMappings.0.hostPort: expected a port from 1 to 65535, got nothing",
    ],
    ...[0, 65_536, 80.5].map((hostPort): [object, string] => [
      { portMappings: [{ ...mapping, hostPort }] },
      `portMappings.0.hostPort: expected a port from 1 to 65535, got the number ${JSON.stringify(hostPort)}`,
    ]),
    [
      { portMappings: [{ ...mapping, containerPort: "80" }] },
      'portMappings.0.containerPort: expected a port from 1 to 65535, got "80"',
    ],
    [
      { portMappings: [{ ...mapping, protocol: "icmp", hostIP: "here" }] },
      'portMappings.0.protocol: expected tcp, udp or sctp, got "icmp", portMappings.0.hostIP: expected an IP address, got "here"',
    ],
    [{ bandwidth: [] }, "bandwidth: expected an object, got an array"],
    ...[-1, 1.5, 2 ** 53].map((rate): [object, string] => [
      { bandwidth: { ingressRate: rate } },
      `bandwidth.ingressRate: expected bits, an integer of at least 0, got the number ${rate}`,
    ]),
    [
      { bandwidth: { ingressBurst: "1", egressRate: "1M", egressBurst: [] } },
      'bandwidth.ingressBurst: expected bits, an integer of at least 0, got "1", bandwidth.egressRate: expected bits, an integer of at least 0, got "1M", bandwidth.egressBurst: expected bits, an integer of at least 0, got an array',
    ],
    [{ deviceID: 3 }, "deviceID: expected a string, got the number 3"],
    [{ "cni-args": "a=b" }, 'cni-args: expected an object, got "a=b"'],
    [
      { "cni-args": JSON.parse(nested(97)) as unknown },
      "cni-args: expected an object, got an array",
    ],
    [
      { "default-route": "10.0.0.1" },
      'default-route: expected an array, got "10.0.0.1"',
    ],
    [
      { "default-route": ["10.0.0.1/24"] },
      'default-route.0: expected an IP address, got "10.0.0.1/24"',
    ],
    [
      { "default-route": [null, "10.0.0.1"] },
      "default-route.0: expected an IP address, got null",
    ],
    [
      { "default-route": ["10.0.0.1", "fd00::1", "10.0.0.2"] },
      'default-route.2: expected one gateway of each address family, got "10.0.0.2"',
    ],
    [{ resourceName: 1 }, "resourceName: expected a string, got the number 1"],
    [{ resourceClaim: "nic" }, 'resourceClaim: expected an object, got "nic"'],
    [
      { resourceClaim: { requestName: 1 } },
      "resourceClaim.claimName: expected the name of a claim of the pod, got nothing, resourceClaim.requestName: expected a string, got the number 1",
    ],
    [
      { resourceName: "v.com/x", resourceClaim: { claimName: "nic" } },
      'resourceClaim: expected nothing beside resourceName "v.com/x", got an object',
    ],
    [
      { resourceClaim: { claimName: "" } },
      'resourceClaim.claimName: expected the name of a claim of the pod, got ""',
    ],
    [
      { "ipam-claim-reference": {} },
      "ipam-claim-reference: expected a string, got an object",
    ],
  ])("of an element with %j", (keys, problem) => {
    const text = JSON.stringify([{ name: "a" }, { name: "b", ...keys }]);
    expect(refusal(text)).toEqual({
      code: 7,
      message: `failed to parse ${source}: element 2: ${problem}`,
    });
  });

  test("all keys of an element that are wrong, together", () => {
    expect(refusal('{"name":"A","mac":"x","ips":["y"]}')).toEqual({
      code: 7,
      message: `failed to parse ${source}: element 1: name: expected a DNS-1123 subdomain, got "A", ips.0: expected an IP address or CIDR, got "y", mac: expected a MAC address, got "x"`,
    });
  });

  test("all elements that are wrong, together", () => {
    const entries = [{ name: "A", mac: "x" }, { name: "a" }, null, { ips: 1 }];
    expect(refusal(JSON.stringify(entries))).toEqual({
      code: 7,
      message: `failed to parse ${source}: element 1: name: expected a DNS-1123 subdomain, got "A", mac: expected a MAC address, got "x", element 3: expected an object, got null, element 4: name: expected a DNS-1123 subdomain, got nothing, ips: expected an array, got the number 1`,
    });
  });

  const many = 60_000;
  const floods: [string, object][] = [
    ["ips", { ips: Array.from({ length: many }, (_, i) => `x${i}`) }],
    ["default-route", { "default-route": Array(many).fill("x") }],
    ["gateways", { "default-route": Array(many).fill("10.0.0.1") }],
    [
      "portMappings",
      { portMappings: Array.from({ length: many }, () => ({})) },
    ],
    [
      "keys in two spellings",
      Object.fromEntries(spellings("portmappings").map((key) => [key, []])),
    ],
    [
      "unknown keys",
      Object.fromEntries(Array.from({ length: many }, (_, i) => [`k${i}`, 1])),
    ],
  ];
  test.each(floods)(
    "60,000 problems are told in at most 8 KiB, in little time: %s",
    (_, keys) => {
      const text = JSON.stringify({ name: "a", ...keys });
      const start = process.cpuUsage();
      const { message } = refusal(text, true);
      expect(process.cpuUsage(start).user).toBeLessThan(3_000_000);
      expect(Buffer.byteLength(message)).toBeLessThanOrEqual(8192);
    },
  );

  test("a value is cut and its control characters are escaped", () => {
    const { message } = refusal(
      JSON.stringify({ name: `\n${"x".repeat(500)}` }),
    );
    expect(message).toContain(`got "\\n${"x".repeat(127)}…"`);
  });
});

describe("parseElements, at most 32", () => {
  const names = (count: number) =>
    Array.from({ length: count }, (_, i) => `n${i}`);
  const forms: [string, (names: string[]) => string][] = [
    ["short form", (list) => list.join(",")],
    ["JSON", (list) => JSON.stringify(list.map((name) => ({ name })))],
  ];
  test.each(forms)("%s", (_, write) => {
    expect(elements(write(names(32)))).toEqual(
      names(32).map((name) => ({ name })),
    );
    expect(refusal(write(names(33)))).toEqual({
      code: 7,
      message: `failed to parse ${source}: more than 32 networks`,
    });
  });
});
