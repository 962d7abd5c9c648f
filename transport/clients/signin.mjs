// An application signs in with a key of its own, and asks for who it is. Arguments: the gateway's URL, the client id, the file of the private key
// (PKCS #8 in PEM, P-256).
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import * as oauth from 'oauth4webapi';

const [, , url, clientId, file] = process.argv;
const insecure = { [oauth.allowInsecureRequests]: true };
const issuer = new URL(url);
const server = await oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, { algorithm: 'oauth2', ...insecure }));
assert.ok(server.token_endpoint_auth_methods_supported.includes('private_key_jwt'));
assert.ok(server.token_endpoint_auth_signing_alg_values_supported.includes('ES256'));

const der = Buffer.from((await readFile(file, 'utf8')).replaceAll(/-----.*-----|\s/g, ''), 'base64');
const key = await crypto.subtle.importKey('pkcs8', der, { name: 'ECDSA', namedCurve: 'P-256' }, false, ['sign']);
const client = { client_id: clientId };
const scope = 'payments:read accounts:read';
const response = await oauth.clientCredentialsGrantRequest(server, client, oauth.PrivateKeyJwt(key), { scope }, insecure);
const token = await oauth.processClientCredentialsResponse(server, client, response);
assert.equal(token.scope, 'accounts:read payments:read');

const answer = await fetch(new URL('/graphql', url), {
  method: 'POST',
  headers: { authorization: `Bearer ${token.access_token}`, 'content-type': 'application/json' },
  body: JSON.stringify({ query: '{ viewer { kind scopes merchant { id } } }' }),
});
const { viewer } = (await answer.json()).data;
assert.deepEqual(viewer.scopes, ['ACCOUNTS_READ', 'PAYMENTS_READ']);
console.log(viewer.merchant.id);
