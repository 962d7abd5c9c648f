// Runs every audit of graphql-http against the URL in the first argument and prints a JSON array of { id, name, status, reason }.
import { auditServer } from 'graphql-http';

const results = await auditServer({ url: process.argv[2] });
console.log(JSON.stringify(results.map(({ id, name, status, reason }) => ({ id, name, status, reason }))));
