// The links by which Apollo's client and urql's send digests in the place of documents, over POST and GET. The argument is the server's URL.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { ApolloClient, gql, HttpLink, InMemoryCache } from '@apollo/client';
import { PersistedQueryLink } from '@apollo/client/link/persisted-queries';
import { Client, fetchExchange } from '@urql/core';
import { persistedExchange } from '@urql/exchange-persisted';
import { url } from './stage.mjs';

const sha256 = (text) => createHash('sha256').update(text).digest('hex');
const headers = { authorization: 'Bearer all' };

// counting is a fetch that notes by which method it was called, and whether a document was sent.
function counting() {
  const asked = [];
  const fetching = async (address, options = {}) => {
    const sent = options.body ? JSON.parse(options.body).query : new URL(address).searchParams.get('query');
    asked.push(`${options.method ?? 'GET'} ${sent ? 'text' : 'digest'}`);
    return fetch(address, options);
  };
  return { asked, fetch: fetching };
}

function apollo(useGETForHashedQueries, name) {
  const { asked, fetch } = counting();
  const client = new ApolloClient({
    cache: new InMemoryCache(), link: new PersistedQueryLink({ sha256, useGETForHashedQueries }).concat(new HttpLink({ uri: url, fetch, headers })),
  });
  const query = gql(`query ${name} { hello }`);
  return { asked, ask: async () => (await client.query({ query, fetchPolicy: 'network-only' })).data.hello };
}

function urql(preferGetForPersistedQueries, name) {
  const { asked, fetch } = counting();
  const client = new Client({
    url, fetch, fetchOptions: { headers }, preferGetMethod: false,
    exchanges: [persistedExchange({ generateHash: async (text) => sha256(text), preferGetForPersistedQueries }), fetchExchange],
  });
  return {
    asked, ask: async () => {
      const { data, error } = await client.query(`query ${name} { hello }`, {}, { requestPolicy: 'network-only' }).toPromise();
      assert.equal(error, undefined);
      return data.hello;
    },
  };
}

for (const [name, client, want] of [
  ['ApolloPost', apollo(false, 'ApolloPost'), ['POST digest', 'POST text', 'POST digest']],
  ['ApolloGet', apollo(true, 'ApolloGet'), ['GET digest', 'POST text', 'GET digest']],
  ['UrqlPost', urql(false, 'UrqlPost'), ['POST digest', 'POST text', 'POST digest']],
  ['UrqlGet', urql('force', 'UrqlGet'), ['GET digest', 'GET text', 'GET digest']],
]) {
  assert.equal(await client.ask(), 'hello', name);
  assert.equal(await client.ask(), 'hello', name);
  assert.deepEqual(client.asked, want, name);
}
console.log('passed');
process.exit(0);
