// An OpenID provider for the test of signing in: oidc-provider, certified by the OpenID Foundation, on this machine.
// Any name and password will do at its own login form; the name is the subject.
// node provider.mjs PATH-OF-OIDC-PROVIDER PORT REDIRECT-URI
import { pathToFileURL } from "node:url";

const [, , library, port, redirect] = process.argv;
const { default: Provider } = await import(pathToFileURL(`${library}/lib/index.js`));
const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients: [{ client_id: "medfuse", client_secret: "a secret of this test", redirect_uris: [redirect],
    post_logout_redirect_uris: [redirect] }],
  claims: { openid: ["sub"], email: ["email", "email_verified"], profile: ["name"] },
  conformIdTokenClaims: false,
  findAccount: (_, id) => ({
    accountId: id,
    claims: () => ({ sub: id, email: `${id}@hospital.example`, email_verified: id !== "mallory", name: id }),
  }),
  cookies: { keys: ["of this test"] },
});
provider.listen(Number(port), "127.0.0.1");
