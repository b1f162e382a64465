/**
 * Reads the URL, the token and the authority from a kubeconfig, for programs that
 * cannot read one.
 */
import * as v from "valibot";

export interface Access {
  url: URL;
  token: string;
  /** PEM text of the certificate authority. */
  ca: string;
}

const schema = v.object({
  clusters: v.tuple([
    v.object({
      cluster: v.object({
        server: v.string(),
        "certificate-authority-data": v.string(),
      }),
    }),
  ]),
  users: v.tuple([v.object({ user: v.object({ token: v.string() }) })]),
});

export async function readAccess(kubeconfig: string): Promise<Access> {
  const content = Bun.YAML.parse(await Bun.file(kubeconfig).text());
  const {
    clusters: [{ cluster }],
    users: [{ user }],
  } = v.parse(schema, content);
  return {
    url: new URL(cluster.server),
    token: user.token,
    ca: atob(cluster["certificate-authority-data"]),
  };
}
